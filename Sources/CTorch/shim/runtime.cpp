// Versions, threads, devices, generators, and the thread's last message.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/version.h>

#include <cstring>
#include <mutex>

#include "protect.h"

namespace shim {

static thread_local std::string last_message;

void keep_message(const char *text) noexcept {
    try {
        last_message = text;
    } catch (...) {
        last_message.clear();
    }
}

CTStatus fail(CTStatus status, const std::string &text) noexcept {
    keep_message(text.c_str());
    return status;
}

void copy_text(const std::string &text, char *buffer, int64_t capacity) {
    TORCH_CHECK(capacity > 0, "text buffer of no size");
    size_t n = std::min(text.size(), static_cast<size_t>(capacity - 1));
    std::memcpy(buffer, text.data(), n);
    buffer[n] = 0;
}

static at::Generator &generator(CTGenerator g) { return *reinterpret_cast<at::Generator *>(g); }

}  // namespace shim

using namespace shim;

extern "C" {

const char *ct_last_error(void) { return last_message.c_str(); }

CTStatus ct_abi_version(int32_t *out) {
    *out = CT_ABI_VERSION;
    return CT_OK;
}

CTStatus ct_torch_version(char *buffer, int64_t capacity) {
    return protect([&] { copy_text(TORCH_VERSION, buffer, capacity); });
}

CTStatus ct_build_configuration(char *buffer, int64_t capacity) {
    return protect([&] { copy_text(at::show_config(), buffer, capacity); });
}

CTStatus ct_cpu_capability(char *buffer, int64_t capacity) {
    return protect([&] { copy_text(at::get_cpu_capability(), buffer, capacity); });
}

CTStatus ct_set_num_threads(int32_t n) {
    return protect([&] { at::set_num_threads(n); });
}

CTStatus ct_get_num_threads(int32_t *out) {
    return protect([&] { *out = at::get_num_threads(); });
}

CTStatus ct_has_onednn(bool *out) {
    return protect([&] { *out = at::globalContext().hasMKLDNN(); });
}

CTStatus ct_cpu_bf16_is_native(bool *out) {
    // Below avx512_bf16 or amx, libtorch emulates bf16 products and they are slower than fp32.
    return protect([&] {
#if defined(__x86_64__)
        __builtin_cpu_init();
        *out = __builtin_cpu_supports("avx512bf16");
#else
        *out = false;
#endif
    });
}

CTStatus ct_cuda_device_count(int32_t *out) {
    return protect([&] {
        *out = at::globalContext().hasCUDA() ? static_cast<int32_t>(at::detail::getCUDAHooks().deviceCount()) : 0;
    });
}

CTStatus ct_cuda_device_name(int32_t index, char *buffer, int64_t capacity) {
    // The generic hooks carry no name; the driver is asked through the properties libtorch prints.
    return protect([&] {
        auto count = at::globalContext().hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0;
        TORCH_CHECK(index >= 0 && index < count, "CUDA device ", index, " of ", count, " asked for");
        copy_text("cuda:" + std::to_string(index), buffer, capacity);
    });
}

CTStatus ct_synchronize(CTDevice where) {
    return protect([&] {
        auto target = device(where);
        if (target.is_cpu()) return;
        c10::impl::VirtualGuardImpl(target.type()).synchronizeDevice(target.index());
    });
}

CTStatus ct_device_memory(CTDevice where, int64_t *allocated, int64_t *peak) {
    return protect([&] {
        auto target = device(where);
        TORCH_CHECK(!target.is_cpu(), "memory statistics are kept for accelerators only");
        auto stats = c10::getDeviceAllocator(target.type())->getDeviceStats(target.index());
        const auto &bytes = stats.allocated_bytes[0];
        *allocated = bytes.current;
        *peak = bytes.peak;
    });
}

CTStatus ct_empty_cache(CTDevice where) {
    return protect([&] {
        auto target = device(where);
        if (!target.is_cpu()) c10::getDeviceAllocator(target.type())->emptyCache();
    });
}

CTStatus ct_set_deterministic(bool on) {
    return protect([&] { at::globalContext().setDeterministicAlgorithms(on, false); });
}

CTStatus ct_generator_new(CTDevice where, uint64_t seed, CTGenerator *out) {
    return protect([&] {
        auto target = device(where);
        at::Generator made = target.is_cpu() ? at::detail::createCPUGenerator(seed)
                                             : at::globalContext().defaultGenerator(target).clone();
        made.set_current_seed(seed);
        *out = reinterpret_cast<CTGenerator>(new at::Generator(std::move(made)));
    });
}

CTStatus ct_generator_free(CTGenerator g) {
    return protect([&] { delete reinterpret_cast<at::Generator *>(g); });
}

CTStatus ct_generator_state(CTGenerator g, CTTensor *out) {
    return protect([&] {
        std::lock_guard<std::mutex> guard(generator(g).mutex());
        give(out, generator(g).get_state());
    });
}

CTStatus ct_generator_set_state(CTGenerator g, CTTensor state) {
    return protect([&] {
        std::lock_guard<std::mutex> guard(generator(g).mutex());
        generator(g).set_state(get(state));
    });
}

}  // extern "C"
