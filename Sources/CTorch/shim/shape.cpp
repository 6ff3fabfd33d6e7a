// Views, joins and indexing.
#include "protect.h"

using namespace shim;

extern "C" {

CTStatus ct_reshape(CTTensor a, const int64_t *shape, int32_t rank, CTTensor *out) {
    return protect([&] { give(out, at::reshape(get(a), sizes(shape, rank))); });
}

CTStatus ct_expand(CTTensor a, const int64_t *shape, int32_t rank, CTTensor *out) {
    return protect([&] { give(out, get(a).expand(sizes(shape, rank))); });
}

CTStatus ct_permute(CTTensor a, const int64_t *dims, int32_t rank, CTTensor *out) {
    return protect([&] { give(out, at::permute(get(a), sizes(dims, rank))); });
}

CTStatus ct_transpose(CTTensor a, int64_t d0, int64_t d1, CTTensor *out) {
    return protect([&] { give(out, at::transpose(get(a), d0, d1)); });
}

CTStatus ct_squeeze(CTTensor a, int64_t dim, CTTensor *out) {
    return protect([&] { give(out, at::squeeze(get(a), dim)); });
}

CTStatus ct_unsqueeze(CTTensor a, int64_t dim, CTTensor *out) {
    return protect([&] { give(out, at::unsqueeze(get(a), dim)); });
}

CTStatus ct_contiguous(CTTensor a, CTTensor *out) {
    return protect([&] { give(out, get(a).contiguous()); });
}

CTStatus ct_slice(CTTensor a, int64_t dim, int64_t start, int64_t end, int64_t step, CTTensor *out) {
    return protect([&] { give(out, at::slice(get(a), dim, start, end, step)); });
}

CTStatus ct_select(CTTensor a, int64_t dim, int64_t index, CTTensor *out) {
    return protect([&] { give(out, at::select(get(a), dim, index)); });
}

CTStatus ct_index_select(CTTensor a, int64_t dim, CTTensor index, CTTensor *out) {
    return protect([&] { give(out, at::index_select(get(a), dim, get(index))); });
}

CTStatus ct_gather(CTTensor a, int64_t dim, CTTensor index, CTTensor *out) {
    return protect([&] { give(out, at::gather(get(a), dim, get(index))); });
}

CTStatus ct_scatter(CTTensor a, int64_t dim, CTTensor index, CTTensor source, CTTensor *out) {
    return protect([&] { give(out, at::scatter(get(a), dim, get(index), get(source))); });
}

CTStatus ct_cat(const CTTensor *tensors, int32_t count, int64_t dim, bool stack, CTTensor *out) {
    return protect([&] {
        auto parts = list(tensors, count);
        give(out, stack ? at::stack(parts, dim) : at::cat(parts, dim));
    });
}

CTStatus ct_repeat_interleave(CTTensor a, int64_t repeats, int64_t dim, CTTensor *out) {
    return protect([&] { give(out, at::repeat_interleave(get(a), repeats, dim)); });
}

CTStatus ct_tri(CTTensor a, int64_t diagonal, bool upper, CTTensor *out) {
    return protect([&] { give(out, upper ? at::triu(get(a), diagonal) : at::tril(get(a), diagonal)); });
}

CTStatus ct_flip(CTTensor a, int64_t dim, CTTensor *out) {
    return protect([&] { give(out, at::flip(get(a), {dim})); });
}

CTStatus ct_pad(CTTensor a, const int64_t *padding, int32_t count, double value, CTTensor *out) {
    return protect([&] { give(out, at::constant_pad_nd(get(a), sizes(padding, count), value)); });
}

}  // extern "C"
