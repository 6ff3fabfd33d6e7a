// Making tensors, asking them, reading them, and writing into them in place.
#include <c10/core/GradMode.h>

#include <cstring>

#include "protect.h"

using namespace shim;

// ctorch.h mirrors c10's numbers; a libtorch that renumbers them must not compile.
static_assert(CT_UINT8 == static_cast<int>(at::kByte));
static_assert(CT_INT8 == static_cast<int>(at::kChar));
static_assert(CT_INT16 == static_cast<int>(at::kShort));
static_assert(CT_INT32 == static_cast<int>(at::kInt));
static_assert(CT_INT64 == static_cast<int>(at::kLong));
static_assert(CT_FLOAT16 == static_cast<int>(at::kHalf));
static_assert(CT_FLOAT32 == static_cast<int>(at::kFloat));
static_assert(CT_FLOAT64 == static_cast<int>(at::kDouble));
static_assert(CT_BOOL == static_cast<int>(at::kBool));
static_assert(CT_BFLOAT16 == static_cast<int>(at::kBFloat16));

static std::optional<at::Generator> generator_or_none(CTGenerator g) {
    return g == nullptr ? std::nullopt : std::optional<at::Generator>(*reinterpret_cast<at::Generator *>(g));
}

extern "C" {

CTStatus ct_tensor_free(CTTensor t) {
    return protect([&] { delete reinterpret_cast<at::Tensor *>(t); });
}

CTStatus ct_empty(const int64_t *shape, int32_t rank, int32_t dtype, CTDevice where, CTTensor *out) {
    return protect([&] { give(out, at::empty(sizes(shape, rank), options(dtype, where))); });
}

CTStatus ct_full(const int64_t *shape, int32_t rank, double value, int32_t dtype, CTDevice where, CTTensor *out) {
    return protect([&] {
        if (value == 0) {
            give(out, at::zeros(sizes(shape, rank), options(dtype, where)));
        } else {
            give(out, at::full(sizes(shape, rank), value, options(dtype, where)));
        }
    });
}

CTStatus ct_arange(double start, double end, double step, int32_t dtype, CTDevice where, CTTensor *out) {
    return protect([&] { give(out, at::arange(start, end, step, options(dtype, where))); });
}

CTStatus ct_randn(const int64_t *shape, int32_t rank, int32_t dtype, CTDevice where, CTGenerator g, CTTensor *out) {
    return protect([&] { give(out, at::randn(sizes(shape, rank), generator_or_none(g), options(dtype, where))); });
}

CTStatus ct_rand(const int64_t *shape, int32_t rank, int32_t dtype, CTDevice where, CTGenerator g, CTTensor *out) {
    return protect([&] { give(out, at::rand(sizes(shape, rank), generator_or_none(g), options(dtype, where))); });
}

CTStatus ct_randperm(int64_t n, CTGenerator g, CTTensor *out) {
    return protect([&] { give(out, at::randperm(n, generator_or_none(g), at::TensorOptions().dtype(at::kLong))); });
}

CTStatus ct_from_bytes(const void *bytes, const int64_t *shape, int32_t rank, int32_t dtype, CTTensor *out) {
    return protect([&] {
        auto made = at::empty(sizes(shape, rank), options(dtype, CT_DEVICE_CPU));
        if (made.nbytes() > 0) std::memcpy(made.data_ptr(), bytes, made.nbytes());
        give(out, made);
    });
}

CTStatus ct_from_borrowed(void *bytes, const int64_t *shape, int32_t rank, int32_t dtype, CTDeleter deleter,
                          void *context, CTTensor *out) {
    return protect([&] {
        give(out, at::from_blob(bytes, sizes(shape, rank), [deleter, context](void *) { deleter(context); },
                                options(dtype, CT_DEVICE_CPU)));
    });
}

CTStatus ct_rank(CTTensor t, int32_t *out) {
    return protect([&] { *out = static_cast<int32_t>(get(t).dim()); });
}

CTStatus ct_shape(CTTensor t, int64_t *out) {
    return protect([&] {
        auto shape = get(t).sizes();
        std::copy(shape.begin(), shape.end(), out);
    });
}

CTStatus ct_strides(CTTensor t, int64_t *out) {
    return protect([&] {
        auto strides = get(t).strides();
        std::copy(strides.begin(), strides.end(), out);
    });
}

CTStatus ct_dtype(CTTensor t, int32_t *out) {
    return protect([&] { *out = static_cast<int32_t>(get(t).scalar_type()); });
}

CTStatus ct_device(CTTensor t, CTDevice *out) {
    return protect([&] { *out = code(get(t).device()); });
}

CTStatus ct_is_contiguous(CTTensor t, bool *out) {
    return protect([&] { *out = get(t).is_contiguous(); });
}

CTStatus ct_data_pointer(CTTensor t, void **out) {
    return protect([&] {
        TORCH_CHECK(get(t).device().is_cpu(), "only a CPU tensor's memory can be read in place");
        TORCH_CHECK(get(t).is_contiguous(), "only a contiguous tensor's memory can be read in place");
        *out = get(t).data_ptr();
    });
}

CTStatus ct_copy_out(CTTensor t, void *bytes, int64_t count) {
    return protect([&] {
        auto host = get(t).detach().to(at::kCPU).contiguous();
        TORCH_CHECK(static_cast<int64_t>(host.nbytes()) == count, "tensor holds ", host.nbytes(), " bytes, the buffer ", count);
        if (count > 0) std::memcpy(bytes, host.data_ptr(), static_cast<size_t>(count));
    });
}

CTStatus ct_item_double(CTTensor t, double *out) {
    return protect([&] { *out = get(t).item().toDouble(); });
}

CTStatus ct_item_int64(CTTensor t, int64_t *out) {
    return protect([&] { *out = get(t).item().toLong(); });
}

CTStatus ct_to(CTTensor t, int32_t dtype, CTDevice where, bool copy, CTTensor *out) {
    return protect([&] { give(out, get(t).to(device(where), scalar_type(dtype), /*non_blocking=*/false, copy)); });
}

CTStatus ct_share(CTTensor t, CTTensor *out) {
    return protect([&] { give(out, get(t)); });
}

CTStatus ct_copy_(CTTensor into, CTTensor from) {
    return protect([&] {
        at::NoGradGuard guard;
        get(into).copy_(get(from));
    });
}

CTStatus ct_fill_(CTTensor into, double value) {
    return protect([&] {
        at::NoGradGuard guard;
        get(into).fill_(value);
    });
}

CTStatus ct_add_(CTTensor into, CTTensor other, double alpha) {
    return protect([&] {
        at::NoGradGuard guard;
        get(into).add_(get(other), alpha);
    });
}

CTStatus ct_mul_(CTTensor into, double factor) {
    return protect([&] {
        at::NoGradGuard guard;
        get(into).mul_(factor);
    });
}

CTStatus ct_uniform_(CTTensor into, double low, double high, CTGenerator g) {
    return protect([&] {
        at::NoGradGuard guard;
        get(into).uniform_(low, high, generator_or_none(g));
    });
}

CTStatus ct_normal_(CTTensor into, double mean, double std, CTGenerator g) {
    return protect([&] {
        at::NoGradGuard guard;
        get(into).normal_(mean, std, generator_or_none(g));
    });
}

CTStatus ct_set_data(CTTensor into, CTTensor from) {
    return protect([&] {
        TORCH_CHECK(get(into).sizes() == get(from).sizes(), "set_data of shape ", get(from).sizes(), " into ", get(into).sizes());
        get(into).set_data(get(from));
    });
}

}  // extern "C"
