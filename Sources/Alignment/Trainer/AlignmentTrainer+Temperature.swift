import Datasets
import Files
import Foundation
import Torch
import Training

extension AlignmentTrainer {
    /// Batches on which a temperature is calibrated.
    static let calibrationBatches = 4

    /// Finds the temperature that fits the first batches of the run through the untrained encoder.
    /// - Throws: `SettingError` if none fits.
    func calibrateTemperature() throws {
        var indices: [Int] = []
        var sampler = try sampler(SamplerPosition())
        for _ in 0..<Self.calibrationBatches {
            guard let batch = sampler.next() else { break }
            indices += batch.indices.filter { !indices.contains($0) }
        }
        let pairs = try frozen.originals(indices)
        var rows: [ExactString: Int] = [:]
        for id in pairs.realIDs where rows[id] == nil { rows[id] = rows.count }
        let fit = TemperatureFit(
            generated: pairs.generated, real: pairs.real, groups: pairs.realIDs.compactMap { rows[$0] },
            batchSize: recipe.training.batchSize)
        guard let value = fit.value else {
            throw SettingError("loss.temperature", expected: "a number (\(fit.note ?? ""))", got: "calibrated")
        }
        task.settings.loss.temperature = value
        note("temperature \(String(format: "%.4g", value)) fits the pairs before training")
    }

    // A resumed run goes on with the temperature that it was begun with, to the bit.

    private struct Calibration: Codable {
        let temperature: Double
    }

    private static let calibrationFile = "calibration.json"

    func saveTemperature(to folder: String) throws {
        guard recipe.loss.temperature == .calibrated else { return }
        let data = try JSONEncoder().encode(Calibration(temperature: task.settings.loss.temperature))
        try AtomicFile.write(Array(data), to: "\(folder)/\(Self.calibrationFile)")
    }

    func loadTemperature(from folder: String) throws {
        guard recipe.loss.temperature == .calibrated else { return }
        let path = "\(folder)/\(Self.calibrationFile)"
        guard FileSystem.exists(path) else {
            throw AlignmentError.missingFile(folder: folder, name: Self.calibrationFile)
        }
        do {
            let data = try MappedFile(path: path).withUnsafeBytes { Data($0) }
            task.settings.loss.temperature = try JSONDecoder().decode(Calibration.self, from: data).temperature
        } catch let error as DecodingError {
            throw AlignmentError.unreadableProgress(file: path, reason: "\(error)")
        }
    }
}
