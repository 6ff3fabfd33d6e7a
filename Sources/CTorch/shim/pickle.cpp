// State dicts written by Python's torch.save: the zip container is read by libtorch, the pickle in it here.
//
// libtorch's own unpickler (torch::pickle_load) cannot do it: it takes collections.OrderedDict, which every
// model.state_dict() is, for the hooks of a tensor and puts None in its place. What a state dict needs of the pickle
// language is small: constants, containers, tensors over storages. Anything else is refused by name, so that reading a
// file never runs code in it.
#include <ATen/core/grad_mode.h>
#include <caffe2/serialize/inline_container.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <variant>

#include "protect.h"

using namespace shim;

namespace {

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

struct Value {
    std::variant<None, Mark, bool, int64_t, double, std::string, Global, StorageValue, at::Tensor, std::shared_ptr<List>,
                 std::shared_ptr<Dict>>
        is;

    template <typename T>
    const T *as() const {
        return std::get_if<T>(&is);
    }

    const char *kind() const {
        static const char *const names[] = {"None",      "a mark",    "a boolean", "a whole number", "a number", "a text",
                                            "a class", "a storage", "a tensor",  "a list",         "a dictionary"};
        return names[is.index()];
    }
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
    Unpickler(caffe2::serialize::PyTorchStreamReader &reader, const char *bytes, size_t size)
        : reader(reader), at_(bytes), end(bytes + size) {}

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
                case 'X': push({text(number<uint32_t>())}); break;                 // BINUNICODE
                case 0x8c: push({text(number<uint8_t>())}); break;                 // SHORT_BINUNICODE
                case '}': push({std::make_shared<Dict>()}); break;                 // EMPTY_DICT
                case ']': push({std::make_shared<List>()}); break;                 // EMPTY_LIST
                case ')': push({std::make_shared<List>()}); break;                 // EMPTY_TUPLE
                case 0x85: tuple(1); break;                                        // TUPLE1
                case 0x86: tuple(2); break;                                        // TUPLE2
                case 0x87: tuple(3); break;                                        // TUPLE3
                case 't': push({std::make_shared<List>(to_mark())}); break;        // TUPLE
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
                    push({Global{module + " " + line()}});
                    break;
                }
                case 0x93: {                                                       // STACK_GLOBAL
                    auto name = string(pop());
                    push({Global{string(pop()) + " " + name}});
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
    const char *at_;
    const char *end;
    std::vector<Value> stack;
    std::unordered_map<uint64_t, Value> memo;
    std::unordered_map<std::string, StorageValue> storages;

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
        List values(std::make_move_iterator(stack.begin() + static_cast<std::ptrdiff_t>(start)),
                    std::make_move_iterator(stack.end()));
        stack.resize(start - 1);
        return values;
    }

    void tuple(size_t count) {
        TORCH_CHECK(stack.size() >= count, "the pickle takes from an empty stack");
        auto first = stack.end() - static_cast<std::ptrdiff_t>(count);
        auto values = std::make_shared<List>(std::make_move_iterator(first), std::make_move_iterator(stack.end()));
        stack.resize(stack.size() - count);
        push({std::move(values)});
    }

    void append(List values) {
        auto list = top().as<std::shared_ptr<List>>();
        TORCH_CHECK(list != nullptr, "the pickle appends to ", top().kind());
        for (auto &value : values) (*list)->push_back(std::move(value));
    }

    void set(List items) {
        auto dict = top().as<std::shared_ptr<Dict>>();
        TORCH_CHECK(dict != nullptr && items.size() % 2 == 0, "the pickle sets an item of ", top().kind());
        for (size_t i = 0; i < items.size(); i += 2) (*dict)->emplace_back(std::move(items[i]), std::move(items[i + 1]));
    }

    const Value &recall(uint64_t index) {
        auto found = memo.find(index);
        TORCH_CHECK(found != memo.end(), "the pickle recalls what it never kept");
        return found->second;
    }

    static const std::string &string(const Value &value) {
        auto text = value.as<std::string>();
        TORCH_CHECK(text != nullptr, "the pickle has ", value.kind(), " where a text belongs");
        return *text;
    }

    static int64_t integer(const Value &value) {
        auto number = value.as<int64_t>();
        TORCH_CHECK(number != nullptr, "the pickle has ", value.kind(), " where a whole number belongs");
        return *number;
    }

    static const List &list(const Value &value) {
        auto values = value.as<std::shared_ptr<List>>();
        TORCH_CHECK(values != nullptr, "the pickle has ", value.kind(), " where a tuple belongs");
        return **values;
    }

    static std::vector<int64_t> integers(const Value &value) {
        std::vector<int64_t> result;
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
        auto kind = parts[1].as<Global>();
        auto type = kind ? storage_type(kind->name) : std::nullopt;
        TORCH_CHECK(type.has_value(), "the file has a storage of type '", kind ? kind->name : parts[1].kind(),
                    "', which is not supported");
        auto [data, bytes] = reader.getRecord("data/" + key);
        TORCH_CHECK(static_cast<int64_t>(bytes) >= integer(parts[4]) * static_cast<int64_t>(c10::elementSize(*type)),
                    "storage ", key, " has ", bytes, " bytes, ", integer(parts[4]), " elements belong in it");
        StorageValue value{c10::Storage(c10::Storage::use_byte_size_t(), bytes, std::move(data), nullptr, false), *type};
        storages.emplace(key, value);
        return {value};
    }

    void reduce() {
        auto arguments = pop();
        auto callee = pop();
        auto function = callee.as<Global>();
        TORCH_CHECK(function != nullptr, "the pickle calls ", callee.kind());
        auto &values = list(arguments);
        if (function->name == "collections OrderedDict") {
            auto dict = std::make_shared<Dict>();
            // Older pickles pass the items as a list of pairs.
            if (!values.empty()) {
                for (auto &item : list(values[0])) {
                    auto &pair = list(item);
                    TORCH_CHECK(pair.size() == 2, "the pickle makes a dictionary of something that is no pair");
                    dict->emplace_back(pair[0], pair[1]);
                }
            }
            push({std::move(dict)});
        } else if (function->name == "torch._utils _rebuild_tensor_v2") {
            TORCH_CHECK(values.size() >= 4 && values[0].as<StorageValue>(), "the pickle makes a tensor of no storage");
            auto &source = *values[0].as<StorageValue>();
            auto tensor = at::empty({0}, at::TensorOptions().dtype(source.type));
            // Refuses what reaches beyond the storage, which cannot grow.
            tensor.set_(source.storage, integer(values[1]), integers(values[2]), integers(values[3]));
            push({std::move(tensor)});
        } else if (function->name == "torch._utils _rebuild_parameter") {
            TORCH_CHECK(!values.empty() && values[0].as<at::Tensor>(), "the pickle makes a parameter of no tensor");
            push(values[0]);
        } else {
            TORCH_CHECK(false, "the pickle calls '", function->name, "', which no state dict needs");
        }
    }
};

/// What ct_pickle_read gives: the tensors of a dictionary, in the file's order.
struct Tensors {
    std::vector<std::pair<std::string, at::Tensor>> entries;
};

}  // namespace

extern "C" {

CTStatus ct_pickle_read(const char *path, CTPickle *out) {
    return protect([&] {
        at::NoGradGuard no_grad;
        caffe2::serialize::PyTorchStreamReader reader{std::string(path)};
        if (reader.hasRecord("byteorder")) {
            auto [order, count] = reader.getRecord("byteorder");
            TORCH_CHECK(std::string(static_cast<const char *>(order.get()), count) == "little",
                        "the file was written on a machine of another byte order");
        }
        auto [pickle, size] = reader.getRecord("data.pkl");
        auto value = Unpickler(reader, static_cast<const char *>(pickle.get()), size).run();
        auto dict = value.as<std::shared_ptr<Dict>>();
        TORCH_CHECK(dict != nullptr, "the file holds ", value.kind(), ", expected a state dict: names and tensors");
        auto tensors = std::make_unique<Tensors>();
        for (auto &[key, entry] : **dict) {
            auto name = key.as<std::string>();
            TORCH_CHECK(name != nullptr, "the file holds a dictionary with ", key.kind(), " for a key, expected names");
            auto tensor = entry.as<at::Tensor>();
            TORCH_CHECK(tensor != nullptr, "the file holds ", entry.kind(), " under '", *name,
                        "', expected a state dict: names and tensors alone");
            tensors->entries.emplace_back(*name, *tensor);
        }
        *out = reinterpret_cast<CTPickle>(tensors.release());
    });
}

CTStatus ct_pickle_count(CTPickle pickle, int64_t *out) {
    return protect([&] { *out = static_cast<int64_t>(reinterpret_cast<Tensors *>(pickle)->entries.size()); });
}

CTStatus ct_pickle_entry(CTPickle pickle, int64_t index, const char **name, CTTensor *out) {
    return protect([&] {
        auto &entry = reinterpret_cast<Tensors *>(pickle)->entries.at(static_cast<size_t>(index));
        *name = entry.first.c_str();
        give(out, entry.second);
    });
}

CTStatus ct_pickle_free(CTPickle pickle) {
    return protect([&] { delete reinterpret_cast<Tensors *>(pickle); });
}

}  // extern "C"
