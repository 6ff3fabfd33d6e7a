// State dicts written by Python's torch.save: the zip container is read by libtorch, the pickle in it here.
//
// libtorch's own unpickler (torch::pickle_load) cannot do it: it takes collections.OrderedDict, which every
// model.state_dict() is, for the hooks of a tensor and puts None in its place. What a state dict needs of the pickle
// language is small: constants, containers, tensors over storages. Anything else is refused by name, so that reading a
// file never runs code in it.
//
// A file may come from anybody, so it can neither exhaust the stack nor memory. Containers and texts lie side by side in
// a heap of the reader's, values only point there: nesting costs no recursion, repeating a text costs no copy, and what is
// made is a bounded multiple of the pickle's length. Storages together are no larger than the file, since torch.save does
// not compress, and no tensor is larger than the file.
#include <ATen/core/grad_mode.h>
#include <caffe2/serialize/inline_container.h>

#include <cstring>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <variant>

#include "protect.h"

using namespace shim;

namespace {

// Of a pickle: that of a state dict has about a hundred bytes for each tensor.
constexpr uint64_t kMostPickle = 32 << 20;
// libtorch's own limit where it has one.
constexpr size_t kMostDimensions = 64;

/// A text of the file for a message: it may be of any length.
std::string brief(const std::string &text) { return text.size() <= 120 ? text : text.substr(0, 120) + "…"; }

struct Value;
using List = std::vector<Value>;
/// Keys in the file's order.
using Dict = std::vector<std::pair<Value, Value>>;

struct None {};
struct Mark {};
/// A class or function that the pickle names, `module name`.
struct Global {
    std::string name;
};
struct StorageValue {
    c10::Storage storage;
    at::ScalarType type;
};

/// One value of the pickle; what is larger than a number lies in the `Heap`.
struct Value {
    std::variant<None, Mark, bool, int64_t, double, const std::string *, const Global *, const StorageValue *, const at::Tensor *, List *,
                 Dict *>
        is;

    template <typename T>
    const T *as() const {
        return std::get_if<T>(&is);
    }

    /// What the value points to; null when it is something else.
    template <typename T>
    T *at() const {
        auto pointer = std::get_if<T *>(&is);
        return pointer ? *pointer : nullptr;
    }

    const char *kind() const {
        static const char *const names[] = {"None",      "a mark",    "a boolean", "a whole number", "a number", "a text",
                                            "a class", "a storage", "a tensor",  "a list",         "a dictionary"};
        return names[is.index()];
    }
};

/// Everything that values point to; freed one after the other, however deeply it is nested.
struct Heap {
    std::deque<std::string> texts;
    std::deque<Global> globals;
    std::deque<StorageValue> storages;
    std::deque<at::Tensor> tensors;
    std::deque<List> lists;
    std::deque<Dict> dicts;

    Value text(std::string value) { return {&std::as_const(texts.emplace_back(std::move(value)))}; }
    Value global(std::string name) { return {&std::as_const(globals.emplace_back(Global{std::move(name)}))}; }
    Value tensor(at::Tensor value) { return {&std::as_const(tensors.emplace_back(std::move(value)))}; }
    Value list(List values = {}) { return {&lists.emplace_back(std::move(values))}; }
    Value dict() { return {&dicts.emplace_back()}; }
};

std::optional<at::ScalarType> storage_type(const std::string &name) {
    static const std::map<std::string, at::ScalarType> types{
        {"torch FloatStorage", at::kFloat},   {"torch DoubleStorage", at::kDouble},     {"torch HalfStorage", at::kHalf},
        {"torch BFloat16Storage", at::kBFloat16}, {"torch LongStorage", at::kLong},     {"torch IntStorage", at::kInt},
        {"torch ShortStorage", at::kShort},   {"torch CharStorage", at::kChar},         {"torch ByteStorage", at::kByte},
        {"torch BoolStorage", at::kBool},
    };
    auto found = types.find(name);
    return found == types.end() ? std::nullopt : std::optional(found->second);
}

/// The part of pickle's protocols 2 to 5 that torch.save uses for tensors in containers.
class Unpickler {
   public:
    /// - `budget`: bytes of storages and of any one tensor, at most.
    Unpickler(caffe2::serialize::PyTorchStreamReader &reader, Heap &heap, const char *bytes, size_t size, uint64_t budget)
        : reader(reader), heap(heap), at_(bytes), end(bytes + size), budget(budget), unread(budget), unmade(size) {}

    Value run() {
        for (;;) {
            auto op = static_cast<unsigned char>(take(1)[0]);
            switch (op) {
                case 0x80: take(1); break;                                         // PROTO
                case 0x95: take(8); break;                                         // FRAME
                case '.': return pop();                                            // STOP
                case '(': push({Mark{}}); break;                                   // MARK
                case 'N': push({None{}}); break;                                   // NONE
                case 0x88: push({true}); break;                                    // NEWTRUE
                case 0x89: push({false}); break;                                   // NEWFALSE
                case 'K': push({static_cast<int64_t>(number<uint8_t>())}); break;  // BININT1
                case 'M': push({static_cast<int64_t>(number<uint16_t>())}); break; // BININT2
                case 'J': push({static_cast<int64_t>(number<int32_t>())}); break;  // BININT
                case 0x8a: push({long_integer()}); break;                          // LONG1
                case 'G': push({big_endian_double()}); break;                      // BINFLOAT
                case 'X': push(heap.text(text(number<uint32_t>()))); break;                 // BINUNICODE
                case 0x8c: push(heap.text(text(number<uint8_t>())));  break;                 // SHORT_BINUNICODE
                case '}': push(heap.dict()); break;                 // EMPTY_DICT
                case ']': push(heap.list()); break;                 // EMPTY_LIST
                case ')': push(heap.list()); break;                 // EMPTY_TUPLE
                case 0x85: tuple(1); break;                                        // TUPLE1
                case 0x86: tuple(2); break;                                        // TUPLE2
                case 0x87: tuple(3); break;                                        // TUPLE3
                case 't': push(heap.list(to_mark())); break;        // TUPLE
                case 'a': append({pop()}); break;                                  // APPEND
                case 'e': append(to_mark()); break;                                // APPENDS
                case 's': {                                                        // SETITEM
                    auto value = pop();
                    auto key = pop();
                    set({std::move(key), std::move(value)});
                    break;
                }
                case 'u': set(to_mark()); break;                                   // SETITEMS
                case 'q': memo[number<uint8_t>()] = top(); break;                  // BINPUT
                case 'r': memo[number<uint32_t>()] = top(); break;                 // LONG_BINPUT
                case 0x94: { auto next = memo.size(); memo[next] = top(); break; } // MEMOIZE
                case 'h': push(recall(number<uint8_t>())); break;                  // BINGET
                case 'j': push(recall(number<uint32_t>())); break;                 // LONG_BINGET
                case 'c': {                                                        // GLOBAL
                    auto module = line();
                    push(heap.global(module + " " + line()));
                    break;
                }
                case 0x93: {                                                       // STACK_GLOBAL
                    auto name = string(pop());
                    push(heap.global(string(pop()) + " " + name));
                    break;
                }
                case 'Q': push(storage(pop())); break;                             // BINPERSID
                case 'R': reduce(); break;                                         // REDUCE
                case 'b': pop(); break;  // BUILD: attributes of the object (a state dict's _metadata), of no use here
                default: TORCH_CHECK(false, "the pickle has the instruction ", static_cast<int>(op), ", which no state dict needs");
            }
        }
    }

   private:
    caffe2::serialize::PyTorchStreamReader &reader;
    Heap &heap;
    const char *at_;
    const char *end;
    uint64_t budget, unread, unmade;
    std::vector<Value> stack;
    std::unordered_map<uint64_t, Value> memo;
    std::unordered_map<std::string, const StorageValue *> storages;

    const char *take(size_t count) {
        TORCH_CHECK(static_cast<size_t>(end - at_) >= count, "the pickle ends too early");
        auto start = at_;
        at_ += count;
        return start;
    }

    template <typename T>
    T number() {
        T value;
        std::memcpy(&value, take(sizeof(T)), sizeof(T));
        return value;
    }

    int64_t long_integer() {
        auto count = number<uint8_t>();
        TORCH_CHECK(count <= 8, "the pickle has a whole number of ", static_cast<int>(count), " bytes");
        auto bytes = take(count);
        uint64_t value = 0;
        for (int i = 0; i < count; i++) value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
        // Two's complement of `count` bytes.
        if (count > 0 && count < 8 && (bytes[count - 1] & 0x80)) value |= ~uint64_t{0} << (8 * count);
        return static_cast<int64_t>(value);
    }

    double big_endian_double() {
        auto bytes = take(8);
        uint64_t bits = 0;
        for (int i = 0; i < 8; i++) bits = bits << 8 | static_cast<unsigned char>(bytes[i]);
        double value;
        std::memcpy(&value, &bits, 8);
        return value;
    }

    std::string text(size_t count) { return std::string(take(count), count); }

    std::string line() {
        auto newline = static_cast<const char *>(std::memchr(at_, '\n', static_cast<size_t>(end - at_)));
        TORCH_CHECK(newline != nullptr, "the pickle ends too early");
        std::string result(at_, newline);
        at_ = newline + 1;
        return result;
    }

    void push(Value value) { stack.push_back(std::move(value)); }

    Value &top() {
        TORCH_CHECK(!stack.empty(), "the pickle takes from an empty stack");
        return stack.back();
    }

    Value pop() {
        auto value = std::move(top());
        stack.pop_back();
        return value;
    }

    List to_mark() {
        size_t start = stack.size();
        while (start > 0 && !stack[start - 1].as<Mark>()) start--;
        TORCH_CHECK(start > 0, "the pickle lacks a mark");
        List values(stack.begin() + static_cast<std::ptrdiff_t>(start), stack.end());
        stack.resize(start - 1);
        return values;
    }

    void tuple(size_t count) {
        TORCH_CHECK(stack.size() >= count, "the pickle takes from an empty stack");
        auto first = stack.end() - static_cast<std::ptrdiff_t>(count);
        List values(first, stack.end());
        stack.resize(stack.size() - count);
        push(heap.list(std::move(values)));
    }

    void append(List values) {
        auto list = top().at<List>();
        TORCH_CHECK(list != nullptr, "the pickle appends to ", top().kind());
        list->insert(list->end(), values.begin(), values.end());
    }

    void set(List items) {
        auto dict = top().at<Dict>();
        TORCH_CHECK(dict != nullptr && items.size() % 2 == 0, "the pickle sets an item of ", top().kind());
        for (size_t i = 0; i < items.size(); i += 2) dict->emplace_back(items[i], items[i + 1]);
    }

    const Value &recall(uint64_t index) {
        auto found = memo.find(index);
        TORCH_CHECK(found != memo.end(), "the pickle recalls what it never kept");
        return found->second;
    }

    static const std::string &string(const Value &value) {
        auto text = value.at<const std::string>();
        TORCH_CHECK(text != nullptr, "the pickle has ", value.kind(), " where a text belongs");
        return *text;
    }

    static int64_t integer(const Value &value) {
        auto number = value.as<int64_t>();
        TORCH_CHECK(number != nullptr, "the pickle has ", value.kind(), " where a whole number belongs");
        return *number;
    }

    static const List &list(const Value &value) {
        auto values = value.at<List>();
        TORCH_CHECK(values != nullptr, "the pickle has ", value.kind(), " where a tuple belongs");
        return *values;
    }

    static std::vector<int64_t> integers(const Value &value) {
        std::vector<int64_t> result;
        TORCH_CHECK(list(value).size() <= kMostDimensions, "the pickle makes a tensor of ", list(value).size(), " dimensions");
        for (auto &entry : list(value)) result.push_back(integer(entry));
        return result;
    }

    /// ('storage', torch.FloatStorage, '0', 'cuda:0', 524288)
    Value storage(const Value &id) {
        auto &parts = list(id);
        TORCH_CHECK(parts.size() >= 5 && string(parts[0]) == "storage", "the pickle refers to something that is no storage");
        auto &key = string(parts[2]);
        auto known = storages.find(key);
        if (known != storages.end()) return {known->second};
        auto kind = parts[1].at<const Global>();
        auto type = kind ? storage_type(kind->name) : std::nullopt;
        TORCH_CHECK(type.has_value(), "the file has a storage of type '", kind ? brief(kind->name) : parts[1].kind(),
                    "', which is not supported");
        const uint64_t size = reader.getRecordSize("data/" + key);
        TORCH_CHECK(size <= unread, "storage ", brief(key), " has ", size, " bytes, more than are left of the file's ", budget,
                    "; torch.save writes no such file");
        unread -= size;
        const auto count = integer(parts[4]);
        TORCH_CHECK(count >= 0 && static_cast<uint64_t>(count) <= size / c10::elementSize(*type), "storage ", brief(key), " has ", size, " bytes, ",
                    count, " elements belong in it");
        auto [data, bytes] = reader.getRecord("data/" + key);
        auto &value = std::as_const(heap.storages.emplace_back(
            StorageValue{c10::Storage(c10::Storage::use_byte_size_t(), bytes, std::move(data), nullptr, false), *type}));
        storages.emplace(key, &value);
        return {&value};
    }

    /// A view of a storage. Steps of 0 repeat elements (`expand`), which a file may use to name a tensor of any size.
    at::Tensor tensor(const StorageValue &source, int64_t offset, const std::vector<int64_t> &shape, const std::vector<int64_t> &strides) {
        uint64_t bytes = c10::elementSize(source.type);
        for (auto size : shape) {
            TORCH_CHECK(size >= 0, "the pickle makes a tensor of shape ", shape);
            if (size > 0 && bytes > budget / static_cast<uint64_t>(size)) {
                TORCH_CHECK(false, "the pickle makes a tensor of shape ", shape, ", larger than the whole file of ", budget,
                            " bytes; was it expanded? Save a contiguous copy");
            }
            bytes *= static_cast<uint64_t>(size);
        }
        auto made = at::empty({0}, at::TensorOptions().dtype(source.type));
        // Refuses what reaches beyond the storage, which cannot grow.
        return made.set_(source.storage, offset, shape, strides);
    }

    void reduce() {
        auto arguments = pop();
        auto callee = pop();
        auto function = callee.at<const Global>();
        TORCH_CHECK(function != nullptr, "the pickle calls ", callee.kind());
        auto &values = list(arguments);
        if (function->name == "collections OrderedDict") {
            auto made = heap.dict();
            // Older pickles pass the items as a list of pairs.
            if (!values.empty()) {
                const auto &items = list(values[0]);
                TORCH_CHECK(items.size() <= unmade, "the pickle makes dictionaries of one list again and again");
                unmade -= items.size();
                for (auto &item : items) {
                    auto &pair = list(item);
                    TORCH_CHECK(pair.size() == 2, "the pickle makes a dictionary of something that is no pair");
                    made.at<Dict>()->emplace_back(pair[0], pair[1]);
                }
            }
            push(made);
        } else if (function->name == "torch._utils _rebuild_tensor_v2") {
            auto source = values.size() >= 4 ? values[0].at<const StorageValue>() : nullptr;
            TORCH_CHECK(source != nullptr, "the pickle makes a tensor of no storage");
            push(heap.tensor(tensor(*source, integer(values[1]), integers(values[2]), integers(values[3]))));
        } else if (function->name == "torch._utils _rebuild_parameter") {
            TORCH_CHECK(!values.empty() && values[0].at<const at::Tensor>(), "the pickle makes a parameter of no tensor");
            push(values[0]);
        } else {
            TORCH_CHECK(false, "the pickle calls '", brief(function->name), "', which no state dict needs");
        }
    }
};

/// What ct_pickle_read gives: what stands in the file's dictionary and in the dictionaries directly in it, in its order.
struct Contents {
    struct Entry {
        const std::string *dictionary, *name;
        const char *kind;
        const at::Tensor *tensor;  // null where `kind` says that it is something else
    };
    Heap heap;
    std::vector<Entry> entries;

    void add(const std::string *dictionary, const Value &key, const Value &value) {
        auto name = key.at<const std::string>();
        TORCH_CHECK(name != nullptr, "the file holds a dictionary with ", key.kind(), " for a key, expected names");
        TORCH_CHECK(name->find('\0') == std::string::npos, "the file holds a name with a NUL character in it");
        entries.push_back({dictionary, name, value.kind(), value.at<const at::Tensor>()});
    }
};

bool has_names(const Dict &dict) {
    return std::all_of(dict.begin(), dict.end(), [](auto &item) { return item.first.template at<const std::string>() != nullptr; });
}

/// A whole record of the container, which must not be larger than `most`.
std::tuple<at::DataPtr, size_t> record(caffe2::serialize::PyTorchStreamReader &reader, const std::string &name, uint64_t most) {
    const uint64_t size = reader.getRecordSize(name);
    TORCH_CHECK(size <= most, "'", name, "' has ", size, " bytes, expected at most ", most);
    return reader.getRecord(name);
}

}  // namespace

extern "C" {

CTStatus ct_pickle_read(const char *path, CTPickle *out) {
    return protect([&] {
        at::NoGradGuard no_grad;
        const uint64_t budget = std::filesystem::file_size(path);
        caffe2::serialize::PyTorchStreamReader reader{std::string(path)};
        if (reader.hasRecord("byteorder")) {
            auto [order, count] = record(reader, "byteorder", 64);
            TORCH_CHECK(std::string(static_cast<const char *>(order.get()), count) == "little",
                        "the file was written on a machine of another byte order");
        }
        auto [pickle, size] = record(reader, "data.pkl", std::min(budget, kMostPickle));
        auto contents = std::make_unique<Contents>();
        auto value = Unpickler(reader, contents->heap, static_cast<const char *>(pickle.get()), size, budget).run();
        auto dict = value.at<Dict>();
        TORCH_CHECK(dict != nullptr, "the file holds ", value.kind(), ", expected a state dict: names and tensors");
        const auto top = contents->heap.text("").at<const std::string>();
        for (auto &[key, entry] : *dict) {
            contents->add(top, key, entry);
            auto inner = entry.at<Dict>();
            if (inner == nullptr || !has_names(*inner)) continue;
            TORCH_CHECK(contents->entries.size() + inner->size() <= size, "the file's dictionary holds another again and again");
            for (auto &item : *inner) contents->add(key.at<const std::string>(), item.first, item.second);
        }
        *out = reinterpret_cast<CTPickle>(contents.release());
    });
}

CTStatus ct_pickle_count(CTPickle pickle, int64_t *out) {
    return protect([&] { *out = static_cast<int64_t>(reinterpret_cast<Contents *>(pickle)->entries.size()); });
}

CTStatus ct_pickle_entry(CTPickle pickle, int64_t index, const char **dictionary, const char **name, const char **kind, CTTensor *out) {
    return protect([&] {
        auto &entry = reinterpret_cast<Contents *>(pickle)->entries.at(static_cast<size_t>(index));
        *dictionary = entry.dictionary->c_str();
        *name = entry.name->c_str();
        *kind = entry.kind;
        *out = nullptr;
        if (entry.tensor != nullptr) give(out, *entry.tensor);
    });
}

CTStatus ct_pickle_free(CTPickle pickle) {
    return protect([&] { delete reinterpret_cast<Contents *>(pickle); });
}

}  // extern "C"
