// What a diffusion UNet needs beyond libtorch's layers.
#include "protect.h"

using namespace shim;

extern "C" {

CTStatus ct_upsample_nearest2d_to(CTTensor x, int64_t height, int64_t width, CTTensor *out) {
    return protect([&] { give(out, at::upsample_nearest2d(get(x), {height, width})); });
}

CTStatus ct_gated_gelu(CTTensor x, CTTensor *out) {
    return protect([&] {
        auto halves = get(x).chunk(2, -1);
        give(out, halves[0] * at::gelu(halves[1]));
    });
}

}  // extern "C"
