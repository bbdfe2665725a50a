// What repeated runs of one program by one executor took.

struct Measurement {
    /// User and system seconds of each run.
    private(set) var samples: [Double] = []
    private(set) var wallSamples: [Double] = []

    mutating func add(_ result: ChildResult) {
        samples.append(result.processorSeconds)
        wallSamples.append(result.wallSeconds)
    }

    var median: Double { Self.median(samples) }
    var wallMedian: Double { Self.median(wallSamples) }
    var fastest: Double { samples.min() ?? .nan }
    var slowest: Double { samples.max() ?? .nan }
    /// The distance from fastest to slowest as a part of the median.
    var spread: Double { (slowest - fastest) / median }

    private static func median(_ values: [Double]) -> Double {
        guard !values.isEmpty else { return .nan }
        let sorted = values.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }
}

/// All that is known of one guest program after a benchmark.
struct GuestResult {
    var guest: BenchGuest
    var measurements: [Executor: Measurement] = [:]
    /// Guest instructions, as the interpreter counted them.
    var instructions: Double?
    /// What was printed and returned by the first executor; others are compared with it.
    var reference: (executor: Executor, status: Int32, output: [UInt8])?
    /// One line for each difference or failure.
    var complaints: [String] = []

    func ratio(_ executor: Executor, to other: Executor) -> Double? {
        guard let time = measurements[executor], let base = measurements[other], base.median > 0 else { return nil }
        return time.median / base.median
    }
}

/// A whole benchmark.
struct BenchResults {
    var executors: [Executor]
    var guests: [GuestResult]
    var runs: Int
    var scalePercent: Int

    var native: Executor? {
        executors.first { if case .native = $0 { return true } else { return false } }
    }
    var complaints: [String] { guests.flatMap(\.complaints) }
    /// The start-up probe takes a millisecond and would drown the others in a mean.
    var meanGuests: [GuestResult] {
        let programs = guests.filter { !$0.guest.isStartUpProbe }
        return programs.isEmpty ? guests : programs
    }

    func meanRatio(_ executor: Executor, to other: Executor) -> Double? {
        geometricMean(meanGuests.compactMap { $0.ratio(executor, to: other) })
    }
}
