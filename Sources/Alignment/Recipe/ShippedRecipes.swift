import Training

extension AlignmentRecipe {
    /// The files of `Recipes/`, compiled into the program, so that an installed command finds them wherever it is.
    public static let shipped: [String: [UInt8]] = [
        "aligned-elsewhere": PackageResources.aligned_elsewhere_yaml,
        "baseline": PackageResources.baseline_yaml,
        "coral": PackageResources.coral_yaml,
        "full-fine-tuning": PackageResources.full_fine_tuning_yaml,
        "gmail": PackageResources.gmail_yaml,
        "long-clip": PackageResources.long_clip_yaml,
        "lora-rank-2": PackageResources.lora_rank_2_yaml,
        "lora-rank-6": PackageResources.lora_rank_6_yaml,
        "mean-shift": PackageResources.mean_shift_yaml,
        "mixed": PackageResources.mixed_yaml,
        "no-alignment": PackageResources.no_alignment_yaml,
        "real-with-alignment": PackageResources.real_with_alignment_yaml,
        "real-without-alignment": PackageResources.real_without_alignment_yaml,
        "ridge": PackageResources.ridge_yaml,
        "same-steps-gmail": PackageResources.same_steps_gmail_yaml,
        "same-steps-mixed": PackageResources.same_steps_mixed_yaml,
        "siglip": PackageResources.siglip_yaml,
        "text-only": PackageResources.text_only_yaml,
    ]
}
