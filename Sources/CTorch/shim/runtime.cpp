// Versions, threads, devices, generators, and the thread's last message.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/version.h>

#include <cstring>
#include <iomanip>
#include <mutex>
#include <sstream>
#include <string_view>

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

CTStatus failed(const c10::Error &error) noexcept {
    try {
        std::string text = error.what_without_backtrace();
        // The CPU's allocator reports exhaustion as a plain c10::Error, its sizes beyond 64 bits too.
        constexpr std::string_view asked = "you tried to allocate ";
        if (auto at = text.find(asked); text.find("can't allocate memory") != text.npos && at != text.npos) {
            at += asked.size();
            const auto bytes = std::stoull(text.substr(at));
            std::ostringstream said;
            said << bytes << " bytes (" << std::fixed << std::setprecision(1) << static_cast<double>(bytes) / (1 << 30) << " GiB) in one piece were asked for";
            return fail(CT_OUT_OF_MEMORY, said.str());
        }
        const bool is_memory = dynamic_cast<const c10::OutOfMemoryError *>(&error) != nullptr || text.find("not enough memory") != text.npos ||
                               text.find("Storage size calculation overflowed") != text.npos || text.find("numel: integer multiplication overflow") != text.npos;
        return fail(is_memory ? CT_OUT_OF_MEMORY : CT_ERROR, text);
    } catch (...) {
        return fail(CT_ERROR, "libtorch failed, and there was no memory to say how");
    }
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

CTStatus ct_cuda_device_count(int32_t *out) {
    return protect([&] {
        *out = at::globalContext().hasCUDA() ? static_cast<int32_t>(at::detail::getCUDAHooks().deviceCount()) : 0;
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
