// Shared by the shim's files: handles to and from at::Tensor, and the one place where C++ exceptions become statuses.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "../include/ctorch.h"

namespace shim {

void keep_message(const char *text) noexcept;
CTStatus fail(CTStatus status, const std::string &text) noexcept;

inline at::Tensor &get(CTTensor t) { return *reinterpret_cast<at::Tensor *>(t); }

inline std::optional<at::Tensor> optional(CTTensor t) {
    return t == nullptr ? std::nullopt : std::optional<at::Tensor>(get(t));
}

/// An absent tensor as libtorch's undefined tensor.
inline at::Tensor undefined_or(CTTensor t) { return t == nullptr ? at::Tensor() : get(t); }

inline void give(CTTensor *out, at::Tensor value) {
    *out = reinterpret_cast<CTTensor>(new at::Tensor(std::move(value)));
}

inline at::IntArrayRef sizes(const int64_t *values, int32_t count) {
    return at::IntArrayRef(values, static_cast<size_t>(count));
}

inline std::vector<at::Tensor> list(const CTTensor *tensors, int32_t count) {
    std::vector<at::Tensor> result;
    result.reserve(static_cast<size_t>(count));
    for (int32_t i = 0; i < count; i++) result.push_back(get(tensors[i]));
    return result;
}

inline c10::Device device(CTDevice code) {
    if (code == CT_DEVICE_CPU) return c10::Device(c10::kCPU);
    TORCH_CHECK(code >= CT_DEVICE_CUDA(0) && code < CT_DEVICE_CUDA(128), "unknown device code ", code);
    return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(code - CT_DEVICE_CUDA(0)));
}

inline CTDevice code(const c10::Device &device) {
    return device.is_cuda() ? CT_DEVICE_CUDA(device.index() < 0 ? 0 : device.index()) : CT_DEVICE_CPU;
}

inline at::ScalarType scalar_type(int32_t dtype) { return static_cast<at::ScalarType>(dtype); }

inline at::TensorOptions options(int32_t dtype, CTDevice where) {
    return at::TensorOptions().dtype(scalar_type(dtype)).device(device(where));
}

/// x * sigmoid(1.702 x), fused, with its gradient (fused.cpp).
at::Tensor quick_gelu(const at::Tensor &x);

/// The dtype that autocast gives matrix products on the device of `x`; none outside of it (frozen.cpp).
std::optional<at::ScalarType> autocast_dtype(const at::Tensor &x);

/// A weight as a layer over `x` reads it: widened where `x` is float32 on the CPU and the weight is kept in half of its bits,
/// itself everywhere else. So a model fits in half the memory on a CPU that multiplies nothing narrower than float32.
inline at::Tensor widened(const at::Tensor &weight, const at::Tensor &x) {
    const bool is_narrow = weight.scalar_type() == at::kBFloat16 && x.scalar_type() == at::kFloat && x.is_cpu();
    return is_narrow ? weight.to(at::kFloat) : weight;
}

inline std::optional<at::Tensor> widened(const std::optional<at::Tensor> &weight, const at::Tensor &x) {
    return weight ? std::optional<at::Tensor>(widened(*weight, x)) : std::nullopt;
}

inline bool needs_gradient(const at::Tensor &t) { return at::GradMode::is_enabled() && t.requires_grad(); }

/// Whether a kernel over dense float32 memory that records nothing may read it.
inline bool is_plain(const at::Tensor &t) {
    return t.device().is_cpu() && t.scalar_type() == at::kFloat && t.is_contiguous() && !needs_gradient(t);
}

/// Copies text into a caller's buffer, cut at its capacity and always terminated.
void copy_text(const std::string &text, char *buffer, int64_t capacity);

/// What an exception of libtorch says, as a status: memory that is not there is told apart from what libtorch refuses.
CTStatus failed(const c10::Error &error) noexcept;

/// Runs `body`; any exception becomes a status with its message, cut before libtorch's C++ backtrace.
template <typename Body>
CTStatus protect(Body body) noexcept {
    try {
        body();
        return CT_OK;
    } catch (const c10::Error &error) {
        return failed(error);
    } catch (const std::bad_alloc &) {
        return fail(CT_OUT_OF_MEMORY, "the host has no memory left for this operation");
    } catch (const std::length_error &) {
        return fail(CT_OUT_OF_MEMORY, "a list of more elements than memory can hold was asked for");
    } catch (const std::exception &error) {
        return fail(CT_ERROR, error.what());
    } catch (...) {
        return fail(CT_ERROR, "an exception of unknown type came out of libtorch");
    }
}

}  // namespace shim
