// oneDNN's linear layers, which libtorch has as operators without a C++ function (layers.cpp).
#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string_view>

namespace shim::onednn {

/// A weight `[out, in]` in the layout that products with so many rows want.
at::Tensor pack(const at::Tensor &weight, int64_t rows);

/// activation(x · weightᵀ + bias), the weight packed or as it lies; "none" and "" without activation.
at::Tensor linear(const at::Tensor &x, const at::Tensor &weight, const std::optional<at::Tensor> &bias,
                  std::string_view activation = "none", std::optional<std::string_view> algorithm = std::nullopt);

}  // namespace shim::onednn
