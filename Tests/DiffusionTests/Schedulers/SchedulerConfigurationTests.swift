import TestSupport
import Testing

@testable import Diffusion

@Suite struct SchedulerConfigurationTests {
    /// Stable Diffusion 2.1's own file, and one as diffusers writes it.
    @Test func releasedFilesAreRead() throws {
        let ddim = try scheduler(
            """
            {"_class_name": "DDIMScheduler", "_diffusers_version": "0.8.0", "beta_end": 0.012,
             "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": false,
             "num_train_timesteps": 1000, "prediction_type": "v_prediction", "set_alpha_to_one": false,
             "skip_prk_steps": true, "steps_offset": 1, "trained_betas": null}
            """)
        #expect(ddim is DDIMScheduler)
        #expect(ddim.configuration.prediction == .velocity)
        #expect(ddim.configuration.clipRange == nil)
        #expect(ddim.configuration.spacing == .leading)
        #expect(try ddim.trajectory(steps: 50).timesteps.prefix(2) == [981, 961])
        let dpm = try scheduler(
            #"{"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity, "variance_type": null}"#)
        #expect(dpm.configuration.lambdaMinClipped == -.infinity)
    }

    private static let messages: [(file: String, steps: Int, text: String)] = [
        ("{", 10, "FILE: is no JSON: the text ends too early, at column 2"),
        ("[]", 10, "FILE: is no JSON object but an array"),
        (
            #"{"_class_name": "LCMScheduler"}"#, 10,
            "FILE: '_class_name' is \"LCMScheduler\", which is not supported; supported: DDIMScheduler, PNDMScheduler, "
                + "EulerDiscreteScheduler, DPMSolverMultistepScheduler, or any of ddim, pndm, euler, dpm++ in its place. "
                + "Choose another scheduler or change the file"
        ),
        (
            #"{"_class_name": "DDIMScheduler", "beta_sched": "linear"}"#, 10,
            "FILE: unknown key 'beta_sched'. Did you mean 'beta_schedule'?"
        ),
        (
            #"{"_class_name": "DDIMScheduler", "quantum": 1}"#, 10, "FILE: unknown key 'quantum'"
        ),
        (
            #"{"_class_name": "DDIMScheduler", "beta_schedule": "sigmoid"}"#, 10,
            "FILE: 'beta_schedule' is \"sigmoid\", expected one of \"linear\", \"scaled_linear\", \"squaredcos_cap_v2\""
        ),
        (
            #"{"_class_name": "PNDMScheduler", "prediction_type": "sample"}"#, 10,
            "FILE: 'prediction_type' is \"sample\", which is not supported; supported: epsilon, v_prediction. "
                + "Choose another scheduler or change the file"
        ),
        (
            #"{"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++"}"#, 10,
            "FILE: 'algorithm_type' is \"sde-dpmsolver++\", which is not supported; supported: dpmsolver++. "
                + "Choose another scheduler or change the file"
        ),
        (
            #"{"_class_name": "DPMSolverMultistepScheduler", "solver_order": 3}"#, 10,
            "FILE: 'solver_order' is 3, which is not supported; supported: 1, 2. Choose another scheduler or change the file"
        ),
        (
            #"{"_class_name": "DDIMScheduler", "thresholding": true}"#, 10,
            "FILE: 'thresholding' is true, which is not supported; supported: false. "
                + "Choose another scheduler or change the file"
        ),
        (
            #"{"_class_name": "DDIMScheduler", "clip_sample": "no"}"#, 10,
            "FILE: 'clip_sample' is \"no\", expected true or false"
        ),
        (
            #"{"_class_name": "DDIMScheduler", "beta_end": 1.5}"#, 10,
            "FILE: 'beta_end' is 1.5, expected a number between 0 and 1"
        ),
        (
            #"{"_class_name": "DDIMScheduler", "trained_betas": [0.1, 0.2]}"#, 10,
            "FILE: 'trained_betas' is 2 numbers, expected num_train_timesteps (1000) numbers between 0 and 1"
        ),
        (
            #"{"_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": true, "use_exponential_sigmas": true}"#,
            10,
            "FILE: 'use_exponential_sigmas' is true, expected false beside use_karras_sigmas"
        ),
        (
            #"{"_class_name": "DDIMScheduler"}"#, 0,
            "DDIMScheduler: 0 steps asked for, expected 1 to 1000 (num_train_timesteps)"
        ),
        (
            #"{"_class_name": "DDIMScheduler", "steps_offset": 1}"#, 1000,
            "DDIMScheduler: 1000 steps asked for, expected so few that steps_offset 1 leads to no timestep beyond 999 (one is 1000)"
        ),
        (
            #"{"_class_name": "PNDMScheduler"}"#, 3,
            "PNDMScheduler: 3 steps asked for, expected 4 or more with skip_prk_steps false"
        ),
    ]

    @Test(arguments: messages.indices)
    func whatCannotBeFollowedIsNamed(index: Int) throws {
        let (file, steps, text) = Self.messages[index]
        // The temporary file's path stands for FILE.
        let got = message { _ = try scheduler(file).trajectory(steps: steps) }
        let tail = text.hasPrefix("FILE") ? String(text.dropFirst(4)) : text
        #expect(got.hasSuffix(tail) && (text.hasPrefix("FILE") == got.contains("scheduler_config.json")), "\(got)")
    }

    @Test func aMissingFileIsNamed() {
        #expect(message { _ = try Schedulers.load(folder: "/nowhere") }.contains("'/nowhere/scheduler_config.json'"))
    }

    /// Under trailing spacing NumPy's `arange` makes one value too many for these counts.
    @Test(arguments: [61, 103, 121])
    func trailingSpacingHasAsManyStepsAsAsked(count: Int) throws {
        let timesteps = try scheduler(#"{"timestep_spacing": "trailing"}"#, as: .ddim).trajectory(steps: count)
            .timesteps
        #expect(timesteps.count == count)
        #expect(timesteps.first == 999)
        #expect(timesteps.allSatisfy { $0 >= 0 })
    }
}
