// Whether a tensor holds a NaN or an infinity, at the speed of reading it.
#include <ATen/Parallel.h>

#include <atomic>

#include "protect.h"

using namespace shim;

// The loop is written for the vectoriser; x86 gets one clone for each instruction set, chosen when the library loads.
#if defined(__x86_64__) && defined(__GNUC__)
#define CT_VECTORISED __attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3")))
#else
#define CT_VECTORISED
#endif

namespace {

// Numbers between two looks at what other threads found.
constexpr int64_t kBlock = 64 * 1024;

/// A number is not finite when all bits of its exponent are set.
template <typename Bits, Bits Exponent>
inline Bits marks(const Bits *x, int64_t count) {
    Bits found = 0;
    for (int64_t i = 0; i < count; i++) found |= static_cast<Bits>((x[i] & Exponent) == Exponent);
    return found;
}

CT_VECTORISED bool has_mark(const uint16_t *x, int64_t count, bool is_half) {
    return is_half ? marks<uint16_t, 0x7c00>(x, count) : marks<uint16_t, 0x7f80>(x, count);
}
CT_VECTORISED bool has_mark(const uint32_t *x, int64_t count, bool) { return marks<uint32_t, 0x7f800000>(x, count); }

template <typename Bits>
bool is_finite(const void *memory, int64_t count, bool is_half) {
    auto x = static_cast<const Bits *>(memory);
    std::atomic<bool> found{false};
    at::parallel_for(0, (count + kBlock - 1) / kBlock, 1, [&](int64_t first, int64_t last) {
        for (int64_t block = first; block < last && !found.load(std::memory_order_relaxed); block++) {
            if (has_mark(x + block * kBlock, std::min(kBlock, count - block * kBlock), is_half)) found = true;
        }
    });
    return !found;
}

}  // namespace

extern "C" {

CTStatus ct_is_finite(CTTensor t, bool *out) {
    return protect([&] {
        at::NoGradGuard guard;
        auto &x = get(t);
        const auto dtype = x.scalar_type();
        if (!x.is_floating_point()) {
            *out = true;
        } else if (x.is_cpu() && x.is_non_overlapping_and_dense() && dtype == at::kFloat) {
            *out = is_finite<uint32_t>(x.const_data_ptr(), x.numel(), false);
        } else if (x.is_cpu() && x.is_non_overlapping_and_dense() && (dtype == at::kHalf || dtype == at::kBFloat16)) {
            *out = is_finite<uint16_t>(x.const_data_ptr(), x.numel(), dtype == at::kHalf);
        } else {
            *out = at::isfinite(x).all().item<bool>();
        }
    });
}

}  // extern "C"
