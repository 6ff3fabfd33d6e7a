// oneDNN's linear layers, which libtorch has as operators without a C++ function (layers.cpp).
#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string_view>

namespace shim::onednn {

/// The rows that weights are laid out for. Other counts work as well; the number of rows that happened to come first must not
/// decide, since another layout rounds otherwise and a resumed run would begin with another count.
constexpr int64_t kTypicalRows = 1024;

/// A weight `[out, in]` in the layout that products want.
at::Tensor pack(const at::Tensor &weight);

/// activation(x · weightᵀ + bias), the weight packed or as it lies; "none" and "" without activation.
at::Tensor linear(const at::Tensor &x, const at::Tensor &weight, const std::optional<at::Tensor> &bias,
                  std::string_view activation = "none", std::optional<std::string_view> algorithm = std::nullopt);

}  // namespace shim::onednn
