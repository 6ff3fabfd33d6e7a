import Captioning
import Diffusion
import Encoders
import Foundation
import LanguageModels
import Testing
import Torch
import TorchNN

/// A program of a user's own finds no shim: everything that throws and makes a tensor throws, before it reads a file.
@Suite struct WithoutLibtorchTests {
    @Test func everyDoorThrows() async {
        await #expect(processExitsWith: .exitCode(0)) {
            setenv("GMAIL_TORCH_SHIM", "/nowhere/libgmail-torch.so", 1)
            let none = "/nowhere/model"
            let doors: [(name: String, open: () throws -> Void)] = [
                ("EncoderFolder.open", { _ = try EncoderFolder.open(none) }),
                ("CLIPModel", { _ = try CLIPModel(folder: none) }),
                ("LanguageModelFolder.open", { _ = try LanguageModelFolder.open(none) }),
                ("GPT2LanguageModel", { _ = try GPT2LanguageModel(folder: none) }),
                ("GeneratorFolder.open", { _ = try GeneratorFolder.open(none) }),
                ("StableDiffusion2", { _ = try StableDiffusion2(folder: none) }),
                ("UNet2DConditionModel", { _ = try UNet2DConditionModel(folder: none) }),
                ("AutoencoderKL", { _ = try AutoencoderKL(folder: none) }),
                ("Weights(path:)", { _ = try Weights(path: none) }),
                ("Weights(stateDict:)", { _ = try Weights(stateDict: none) }),
                ("PickledTensors", { _ = try PickledTensors(path: none) }),
                (
                    "Captioner",
                    {
                        _ = try Captioner(
                            stateDict: none, normalizesFeatures: true, model: none, languageModel: none,
                            dtype: .float32,
                            device: .cpu)
                    }
                ),
                ("LinearKernel.choose", { _ = try LinearKernel.choose(dtype: .float32) }),
                ("CPUKernel.all", { _ = try CPUKernel.all() }),
                ("TorchRuntime.version", { _ = try TorchRuntime.version() }),
                ("TorchRuntime.setDeterministic", { try TorchRuntime.setDeterministic(true) }),
                ("TorchRuntime.keepFreedMemory", { try TorchRuntime.keepFreedMemory() }),
                ("Device.cudaDeviceCount", { _ = try Device.cudaDeviceCount() }),
                ("catchingTorchErrors", { _ = try catchingTorchErrors { Tensor.zeros([2, 3]) } }),
            ]
            var wrong: [String] = []
            for door in doors {
                do {
                    try door.open()
                    wrong.append("\(door.name) opened")
                } catch let error as TorchError where error.kind == .notLoaded {
                    if !error.message.hasPrefix("GMAIL_TORCH_SHIM names '/nowhere/libgmail-torch.so', which is no file")
                    {
                        wrong.append("\(door.name): \(error)")
                    }
                } catch {
                    wrong.append("\(door.name): \(error)")
                }
            }
            FileHandle.standardError.write(Data(wrong.joined(separator: "\n").utf8))
            exit(wrong.isEmpty ? 0 : 1)
        }
    }

    /// Libtorch that comes later is taken: a failed attempt is not kept.
    @Test func aLaterAttemptSucceeds() async {
        await #expect(processExitsWith: .exitCode(0)) {
            let given = ProcessInfo.processInfo.environment["GMAIL_TORCH_SHIM"]
            setenv("GMAIL_TORCH_SHIM", "/nowhere/libgmail-torch.so", 1)
            do {
                try TorchRuntime.load()
                exit(1)
            } catch {
                if let given { setenv("GMAIL_TORCH_SHIM", given, 1) } else { unsetenv("GMAIL_TORCH_SHIM") }
            }
            try TorchRuntime.load()
            exit(Tensor.ones([2, 3]).sum().item() == 6 ? 0 : 1)
        }
    }
}
