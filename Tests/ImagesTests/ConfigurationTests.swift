import Foundation
import StrictJSON
import TestSupport
import Testing

@testable import Images

/// `preprocessor_config.json` and `processor_config.json`; what valid ones compute is compared in `PreprocessingTests`.
@Suite struct ConfigurationTests {
    static let configurations: [(json: String, text: String)] = [
        ("{", "p.json: is no JSON: "),
        ("[1]", "p.json: is no JSON object but an array"),
        (
            #"{"sise": 3}"#,
            "p.json: 'sise' is 3, expected no such key: CLIP's and SigLIP's image processors have none, and another's "
                + "could change the pixels"
        ),
        (
            #"{"do_flip_channel_order": true}"#,
            "p.json: 'do_flip_channel_order' is true, expected no such key: CLIP's and SigLIP's image processors "
                + "have none, and another's could change the pixels"
        ),
        (
            #"{"image_processor_type": "ViTImageProcessor"}"#,
            #"p.json: 'image_processor_type' is "ViTImageProcessor", expected CLIPImageProcessor, "#
                + "CLIPImageProcessorFast, CLIPImageProcessorPil, CLIPFeatureExtractor, SiglipImageProcessor, "
                + "SiglipImageProcessorFast, SiglipImageProcessorPil"
        ),
        (
            #"{"image_processor_type": "SiglipImageProcessor", "do_center_crop": true}"#,
            "p.json: 'crop_size' is absent, expected a value, which 'do_center_crop' needs"
        ),
        (#"{"do_resize": 1}"#, "p.json: 'do_resize' is 1, expected true or false"),
        (
            #"{"do_pad": true, "pad_size": 300}"#,
            "p.json: 'pad_size' is 300, expected 224x224, what cropping leaves; padding beyond it is not done"
        ),
        (
            #"{"do_pad": true, "do_center_crop": false}"#,
            "p.json: 'do_pad' is true, expected false, since sizes follow each image"
        ),
        (
            #"{"data_format": "channels_last"}"#,
            #"p.json: 'data_format' is "channels_last", expected "channels_first""#
        ),
        (#"{"resample": 6}"#, "p.json: 'resample' is 6, expected one of Pillow's filters, 0...5"),
        (#"{"resample": 3.0}"#, "p.json: 'resample' is 3.0, expected one of Pillow's filters, 0...5"),
        (#"{"resample": "bicubic"}"#, #"p.json: 'resample' is "bicubic", expected one of Pillow's filters, 0...5"#),
        (#"{"resample": null}"#, "p.json: 'resample' is null, expected a value, which 'do_resize' needs"),
        (#"{"size": null}"#, "p.json: 'size' is null, expected a value, which 'do_resize' needs"),
        (#"{"crop_size": null}"#, "p.json: 'crop_size' is null, expected a value, which 'do_center_crop' needs"),
        (#"{"image_std": null}"#, "p.json: 'image_std' is null, expected a value, which 'do_normalize' needs"),
        (
            #"{"rescale_factor": null}"#,
            "p.json: 'rescale_factor' is null, expected a value, which 'do_rescale' needs"
        ),
        (
            #"{"size": {"longest_edge": 9}}"#,
            "p.json: 'size' is an object, expected a number, {shortest_edge} or {height, width}"
        ),
        (
            #"{"size": {"shortest_edge": 9, "longest_edge": 12}}"#,
            "p.json: 'size' is an object, expected a number, {shortest_edge} or {height, width}"
        ),
        (
            #"{"size": {"height": 9, "width": 12, "depth": 3}}"#,
            "p.json: 'size' is an object, expected a number, {shortest_edge} or {height, width}"
        ),
        (#"{"size": [9]}"#, "p.json: 'size' is an array, expected a number, {shortest_edge} or {height, width}"),
        (#"{"size": 0}"#, "p.json: 'size' is 0, expected a side of 1...16384"),
        (
            #"{"size": {"height": 4, "width": 99999}}"#,
            "p.json: 'size' is 99999x4, expected sides of 1...16384"
        ),
        (
            #"{"crop_size": {"height": 4}}"#,
            "p.json: 'crop_size' is an object, expected a number or {height, width}"
        ),
        (
            #"{"crop_size": {"shortest_edge": 4}}"#,
            "p.json: 'crop_size' is an object, expected a number or {height, width}"
        ),
        (#"{"crop_size": -1}"#, "p.json: 'crop_size' is -1x-1, expected sides of 1...16384"),
        (#"{"rescale_factor": 0}"#, "p.json: 'rescale_factor' is 0.0, expected a positive number"),
        (#"{"rescale_factor": "a"}"#, #"p.json: 'rescale_factor' is "a", expected a number"#),
        (#"{"image_mean": [1, 2]}"#, "p.json: 'image_mean' is an array, expected 3 numbers"),
        (#"{"image_mean": [1, 2, null]}"#, "p.json: 'image_mean' is an array, expected 3 numbers"),
        (#"{"image_std": [1, 0, 1]}"#, "p.json: 'image_std' is [1.0, 0.0, 1.0], expected 3 positive numbers"),
    ]

    @Test func messages() {
        for (json, text) in Self.configurations {
            let got = message {
                _ = try ImagePreprocessing(preprocessorConfig: Array(json.utf8), file: "p.json")
            }
            // The parser's own words follow "is no JSON".
            #expect(text.hasSuffix("JSON: ") ? got.hasPrefix(text) : got == text, "\(json): \(got)")
        }
    }

    /// What openai/clip-vit-base-patch32 ships, and the same in the words of newer releases.
    @Test(arguments: [
        #"""
        {"crop_size": 224, "do_center_crop": true, "do_normalize": true, "do_resize": true,
         "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": [0.48145466, 0.4578275, 0.40821073],
         "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "size": 224}
        """#,
        #"""
        {"crop_size": {"height": 224, "width": 224}, "data_format": "channels_first", "device": null,
         "do_center_crop": true, "do_convert_rgb": true, "do_normalize": true, "do_pad": null, "do_rescale": true,
         "do_resize": true, "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_processor_type":
         "CLIPImageProcessorFast", "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3,
         "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 224}, "use_square_size": false}
        """#,
        "{}",
        "\u{FEFF}{}",
    ])
    func publishedConfigurations(json: String) throws {
        let settings = try ImagePreprocessing(preprocessorConfig: Array(json.utf8), file: "p.json")
        #expect(settings == (try ImagePreprocessing.clip()))
        #expect(settings.outputSize == ImageSize(width: 224, height: 224))
    }

    /// transformers 5.24: the processor inside `processor_config.json` comes first, an older `processor_config.json`
    /// without one has no say, and neither has `null`.
    @Test func theNestedProcessorComesFirst() throws {
        let folder = try TemporaryFolder()
        #expect(try ImagePreprocessing.inFolder(folder.path) == nil)
        let nested = #"{"image_processor": {"size": {"shortest_edge": 30}, "crop_size": 20}, "processor_class": "C"}"#
        try folder.write(nested, to: "processor_config.json")
        var found = try #require(try ImagePreprocessing.inFolder(folder.path))
        #expect(found.settings.resize == .shortestEdge(30) && found.settings.outputSize?.width == 20)
        #expect(found.file == folder("processor_config.json"))
        #expect(
            try ImagePreprocessing(preprocessorConfigFile: folder("processor_config.json")) == found.settings)

        try folder.write(#"{"size": 40, "crop_size": 40}"#, to: "preprocessor_config.json")
        #expect(try ImagePreprocessing.inFolder(folder.path)?.settings == found.settings)
        for without in [#"{"processor_class": "CLIPProcessor"}"#, #"{"image_processor": null}"#] {
            try folder.write(without, to: "processor_config.json")
            found = try #require(try ImagePreprocessing.inFolder(folder.path))
            #expect(found.settings.resize == .shortestEdge(40))
            #expect(found.file == folder("preprocessor_config.json"))
        }
        try folder.write(#"{"image_processor": {}}"#, to: "processor_config.json")
        #expect(try ImagePreprocessing.inFolder(folder.path)?.settings == ImagePreprocessing.clip())
    }

    @Test func messagesNameThePlaceInside() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(#"{"image_processor": {"resample": 9}}"#, to: "processor_config.json")
        #expect(
            message { _ = try ImagePreprocessing.inFolder(folder.path) }
                == "\(path): 'image_processor.resample' is 9, expected one of Pillow's filters, 0...5")
        try folder.write("version https://git-lfs.github.com/spec/v1\n", to: "processor_config.json")
        #expect(message { _ = try ImagePreprocessing.inFolder(folder.path) }.contains("is a git-lfs pointer"))
    }
}
