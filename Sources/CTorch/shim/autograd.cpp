// Gradients, modes, autocast, and the optimizer's inner step.
#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <memory>

#include "protect.h"

using namespace shim;

namespace {

struct Guard {
    virtual ~Guard() = default;
};

struct InferenceGuard final : Guard {
    c10::InferenceMode mode{true};
};

/// One autocast region; nested regions restore what they found, and the cast cache dies with the outermost.
struct AutocastGuard final : Guard {
    c10::DeviceType type;
    bool enabled;
    at::ScalarType dtype;

    AutocastGuard(c10::DeviceType device, at::ScalarType wanted, bool on)
        : type(device), enabled(at::autocast::is_autocast_enabled(device)), dtype(at::autocast::get_autocast_dtype(device)) {
        at::autocast::set_autocast_enabled(type, on);
        if (on) at::autocast::set_autocast_dtype(type, wanted);
        at::autocast::increment_nesting();
    }

    ~AutocastGuard() override {
        if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
        at::autocast::set_autocast_enabled(type, enabled);
        at::autocast::set_autocast_dtype(type, dtype);
    }
};

CTGuard give_guard(std::unique_ptr<Guard> guard) { return reinterpret_cast<CTGuard>(guard.release()); }

}  // namespace

extern "C" {

CTStatus ct_requires_grad(CTTensor t, bool *out) {
    return protect([&] { *out = get(t).requires_grad(); });
}

CTStatus ct_set_requires_grad(CTTensor t, bool on) {
    return protect([&] { get(t).requires_grad_(on); });
}

CTStatus ct_detach(CTTensor t, CTTensor *out) {
    return protect([&] { give(out, get(t).detach()); });
}

CTStatus ct_backward(CTTensor t, CTTensor gradient, bool retain) {
    return protect([&] { get(t).backward(undefined_or(gradient), retain); });
}

CTStatus ct_grad(CTTensor t, CTTensor *out) {
    return protect([&] {
        auto gradient = get(t).grad();
        if (gradient.defined()) {
            give(out, gradient);
        } else {
            *out = nullptr;
        }
    });
}

CTStatus ct_set_grad(CTTensor t, CTTensor gradient) {
    return protect([&] { get(t).mutable_grad() = undefined_or(gradient); });
}

CTStatus ct_set_grad_enabled(bool on, bool *previous) {
    return protect([&] {
        *previous = c10::GradMode::is_enabled();
        c10::GradMode::set_enabled(on);
    });
}

CTStatus ct_inference_guard_new(CTGuard *out) {
    return protect([&] { *out = give_guard(std::make_unique<InferenceGuard>()); });
}

CTStatus ct_inference_guard_free(CTGuard guard) {
    return protect([&] { delete reinterpret_cast<Guard *>(guard); });
}

CTStatus ct_autocast_enter(CTDevice where, int32_t dtype, bool enabled, CTGuard *out) {
    return protect([&] {
        *out = give_guard(std::make_unique<AutocastGuard>(device(where).type(), scalar_type(dtype), enabled));
    });
}

CTStatus ct_autocast_exit(CTGuard guard) {
    return protect([&] { delete reinterpret_cast<Guard *>(guard); });
}

CTStatus ct_adamw_step(const CTTensor *parameters, const CTTensor *gradients, const CTTensor *means,
                       const CTTensor *squares, const CTTensor *steps, int32_t count, double lr, double beta1,
                       double beta2, double eps, double decay) {
    return protect([&] {
        at::NoGradGuard guard;
        auto step_list = list(steps, count);
        for (auto &step : step_list) step.add_(1);
        at::_fused_adamw_(list(parameters, count), list(gradients, count), list(means, count), list(squares, count),
                          /*max_exp_avg_sqs=*/{}, step_list, lr, beta1, beta2, decay, eps,
                          /*amsgrad=*/false, /*maximize=*/false);
    });
}

CTStatus ct_grad_norm(const CTTensor *gradients, int32_t count, double *out) {
    return protect([&] {
        at::NoGradGuard guard;
        std::vector<at::Tensor> norms;
        for (int32_t i = 0; i < count; i++) norms.push_back(get(gradients[i]).norm(2, at::kFloat));
        *out = norms.empty() ? 0 : at::stack(norms).norm().item().toDouble();
    });
}

CTStatus ct_scale_(const CTTensor *tensors, int32_t count, double factor) {
    return protect([&] {
        at::NoGradGuard guard;
        for (int32_t i = 0; i < count; i++) get(tensors[i]).mul_(factor);
    });
}

}  // extern "C"
