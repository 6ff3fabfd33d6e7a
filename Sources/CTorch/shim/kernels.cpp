// Which kernels of our own a process uses: by what the CPU is and by GMAIL_CPU_KERNELS, never by a measurement, so that equal
// commands on equal machines give equal bits. docs/cpu.md says what was measured, and where.
//
// GMAIL_CPU_KERNELS is a list such as `-winograd,-few-rows`: `-name` switches a kernel off, `name` on wherever the CPU has its
// instructions, `all` and `none` set the ground for what follows. Unnamed kernels follow their rules.
#include "kernels.h"

#include <ATen/Context.h>
#include <ATen/Version.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "frozen.h"
#include "protect.h"

using namespace shim;

namespace {

constexpr auto kCount = static_cast<size_t>(Kernel::count);
constexpr const char *kNames[kCount] = {
    "onednn-products", "packed-layers", "packed-weights",   "wide-products", "head-attention", "added-norm", "lora",       "low-rank",
    "quick-gelu",      "few-rows",      "best-tokens",      "cached-attention", "cross-entropy", "gated-gelu", "group-norm", "winograd",
};

std::array<std::atomic<int64_t>, kCount> runs{};

CPU make_cpu() {
    CPU it{};
    it.description = "a CPU that is not x86";
#if defined(__x86_64__)
    __builtin_cpu_init();
    it.is_amd = __builtin_cpu_is("amd");
    it.is_intel = __builtin_cpu_is("intel");
    it.has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    it.has_avx512 = it.has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                    at::get_cpu_capability().rfind("AVX512", 0) == 0;
    it.has_bf16 = it.has_avx512 && __builtin_cpu_supports("avx512bf16");
    unsigned a, b, c, d;
    it.has_amx = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1);
    it.description = !it.has_avx2                  ? "an x86 CPU without AVX2"
                     : !it.has_avx512              ? "an x86 CPU without AVX-512"
                     : it.is_amd && it.has_bf16    ? "an AMD CPU with AVX-512 and bfloat16"
                     : it.is_amd                   ? "an AMD CPU with AVX-512"
                     : it.is_intel && it.has_amx   ? "an Intel CPU with AMX"
                     : it.is_intel && it.has_bf16  ? "an Intel CPU with AVX-512 and bfloat16"
                     : it.is_intel                 ? "an Intel CPU with AVX-512"
                                                   : "an x86 CPU of another maker with AVX-512";
#endif
    return it;
}

/// What GMAIL_CPU_KERNELS says of each kernel, or what is wrong with it.
struct Wishes {
    std::array<std::optional<bool>, kCount> wish;
    std::string mistake;
};

Wishes make_wishes() {
    Wishes made;
    const char *text = std::getenv("GMAIL_CPU_KERNELS");
    std::string_view rest = text ? text : "";
    while (!rest.empty()) {
        const auto comma = rest.find(',');
        auto word = rest.substr(0, comma);
        rest = comma == rest.npos ? std::string_view() : rest.substr(comma + 1);
        while (!word.empty() && word.front() == ' ') word.remove_prefix(1);
        while (!word.empty() && word.back() == ' ') word.remove_suffix(1);
        if (word.empty()) continue;
        if (word == "all" || word == "none") {
            made.wish.fill(word == "all" ? std::nullopt : std::optional(false));
            continue;
        }
        const bool is_on = word.front() != '-';
        if (!is_on) word.remove_prefix(1);
        size_t index = 0;
        while (index < kCount && word != kNames[index]) index++;
        if (index < kCount) {
            made.wish[index] = is_on;
            continue;
        }
        made.mistake = "GMAIL_CPU_KERNELS names '" + std::string(word.substr(0, 80)) + "'; expected all, none, or a list of";
        for (auto name : kNames) made.mistake += (name == kNames[0] ? " " : ", ") + std::string(name);
        made.mistake += ", each with - before it to switch it off";
        break;
    }
    return made;
}

const Wishes &wishes() {
    static const Wishes made = make_wishes();
    return made;
}

/// Whether the CPU and libtorch have what the kernel needs.
bool can_run(Kernel kernel) {
    switch (kernel) {
        case Kernel::onednn_products:  // with AMX, oneDNN would round to bfloat16 (float32.cpp)
            return at::globalContext().hasMKLDNN() && !cpu().has_amx;
        case Kernel::packed_layers:
        case Kernel::packed_weights: return at::globalContext().hasMKLDNN();
        case Kernel::head_attention:
        case Kernel::added_norm:
        case Kernel::low_rank: return cpu().has_avx512;
        case Kernel::few_rows:
        case Kernel::best_tokens:
        case Kernel::cached_attention:
        case Kernel::cross_entropy: return cpu().has_avx2;
        default: return true;
    }
}

/// Where it is the quicker way.
bool is_wanted(Kernel kernel) {
    switch (kernel) {
        // MKL uses half-width kernels on AMD's CPUs.
        case Kernel::onednn_products: return cpu().is_amd && cpu().has_avx512;
        case Kernel::packed_layers:
        case Kernel::packed_weights: return uses(kernel, at::kFloat) || uses(kernel, at::kBFloat16);
        // With AVX-512 libtorch multiplies such numbers itself.
        case Kernel::wide_products: return !cpu().has_avx512;
        default: return true;
    }
}

bool is_wanted(Kernel kernel, at::ScalarType dtype) {
    const bool is_known = (cpu().is_amd && cpu().has_avx512) || (cpu().is_intel && cpu().has_amx && cpu().has_avx512);
    switch (kernel) {
        case Kernel::packed_layers:
            // In float32 only where oneDNN's products beat MKL's: what the activation saves does not pay for the copies.
            return is_known && (dtype == at::kFloat ? cpu().is_amd : dtype == at::kBFloat16 && cpu().has_bf16);
        case Kernel::packed_weights: return dtype == at::kFloat ? float32_products_by_onednn() : dtype == at::kBFloat16 && cpu().has_bf16;
        default: return false;
    }
}

}  // namespace

namespace shim {

const CPU &cpu() {
    static const CPU made = make_cpu();
    return made;
}

bool uses(Kernel kernel) {
    static std::array<std::atomic<int8_t>, kCount> known{};
    auto &place = known[static_cast<size_t>(kernel)];
    if (auto found = place.load(std::memory_order_relaxed)) return found > 0;
    const auto wish = wishes().wish[static_cast<size_t>(kernel)];
    const bool is_used = can_run(kernel) && (wish ? *wish : is_wanted(kernel));
    place.store(is_used ? 1 : -1, std::memory_order_relaxed);
    return is_used;
}

bool uses(Kernel kernel, at::ScalarType dtype) {
    const auto wish = wishes().wish[static_cast<size_t>(kernel)];
    if (dtype != at::kFloat && dtype != at::kBFloat16) return false;
    return can_run(kernel) && (wish ? *wish : is_wanted(kernel, dtype));
}

void count(Kernel kernel) { runs[static_cast<size_t>(kernel)].fetch_add(1, std::memory_order_relaxed); }

}  // namespace shim

extern "C" {

CTStatus ct_settle_cpu_kernels(void) {
    return protect([&] {
        TORCH_CHECK(wishes().mistake.empty(), wishes().mistake);
        // Before the first product: a run that changed its kernels half-way would not repeat itself.
        float32_products_by_onednn();
    });
}

CTStatus ct_cpu_kernel(int32_t index, const char **name, bool *is_used, int64_t *count) {
    return protect([&] {
        *name = nullptr;
        if (index < 0 || static_cast<size_t>(index) >= kCount) return;
        *name = kNames[index];
        *is_used = uses(static_cast<Kernel>(index));
        if (static_cast<Kernel>(index) == Kernel::onednn_products) *is_used = float32_products_by_onednn();
        *count = runs[static_cast<size_t>(index)].load(std::memory_order_relaxed);
    });
}

CTStatus ct_packs_layers(int32_t dtype, bool *out) {
    return protect([&] { *out = uses(Kernel::packed_layers, scalar_type(dtype)); });
}

CTStatus ct_cpu_description(const char **out) {
    return protect([&] { *out = cpu().description; });
}

CTStatus ct_cpu_bf16_is_native(bool *out) {
    // Below AVX512_BF16, libtorch emulates products of bfloat16 and they are slower than float32's.
    return protect([&] { *out = cpu().has_bf16; });
}

}  // extern "C"
