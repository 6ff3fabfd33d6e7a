/// What happens to transparent pixels, and when colours become RGB.
///
/// The libraries differ, so the embedding of every picture with transparency depends on this:
///
/// | rule | who does it |
/// |---|---|
/// | ``white`` | transformers today (run with 5.24): `CLIPImageProcessor`, both backends, on a `PIL.Image` |
/// | ``drop`` | transformers before that, and its `load_image` still; `PIL.Image.convert("RGB")` before anything else |
/// | ``openCLIP`` | open_clip (run with 3.3): its transform converts after resizing and cropping |
public enum Transparency: String, Sendable, Hashable, Codable, CaseIterable {
    /// The image is put on white (Pillow's `alpha_composite`), then resized.
    case white
    /// Alpha is dropped, so that transparent pixels show the colour that the file stores for them, often black. Then
    /// the image is resized.
    case drop
    /// The image is resized in the colours that the file stores and converted to RGB at the end; alpha is dropped. An
    /// alpha channel is resized premultiplied, so that transparent pixels do not bleed into their neighbours. Palettes
    /// and images of two levels are resized by nearest neighbour whatever the filter, CMYK as inks. For RGB and grey it
    /// is ``drop``.
    ///
    /// Grey of more than 8 bits is refused, because resizing it in 16 or 32 bits is not implemented. A decode without a
    /// resize (``RGBImage``) drops alpha.
    case openCLIP = "open_clip"
}
