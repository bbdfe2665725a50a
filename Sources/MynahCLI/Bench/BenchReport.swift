// A benchmark as JSON.

import Glibc

/// The machine that was measured.
struct HostDescription {
    var processor: String
    var processorCount: Int
    var kernel: String
    var date: String

    static var current: HostDescription {
        let lines = (Files.readText("/proc/cpuinfo") ?? "").split(separator: "\n")
        let model = lines.first { $0.hasPrefix("model name") }?.split(separator: ":").last
        var now = time(nil)
        var parts = tm()
        gmtime_r(&now, &parts)
        var buffer = [CChar](repeating: 0, count: 32)
        strftime(&buffer, buffer.count, "%Y-%m-%d %H:%M UTC", &parts)
        return HostDescription(
            processor: model.map { String($0.drop { $0 == " " }) } ?? "unknown processor",
            processorCount: sysconf(Int32(_SC_NPROCESSORS_ONLN)),
            kernel: (Files.readText("/proc/sys/kernel/osrelease") ?? "").filter { $0 != "\n" },
            date: String(cString: buffer))
    }
}

extension BenchResults {
    func json(host: HostDescription) -> JSONValue {
        .object([
            ("host", .object([
                ("processor", .string(host.processor)), ("processors", .integer(host.processorCount)),
                ("kernel", .string(host.kernel)), ("date", .string(host.date)),
            ])),
            ("runs", .integer(runs)),
            ("scalePercent", .integer(scalePercent)),
            ("unit", .string("seconds of processor time, user and system")),
            ("guests", .array(guests.map(guestJSON))),
            ("geometricMeanToNative", .object(meansToNative)),
            ("complaints", .array(complaints.map { .string($0) })),
        ])
    }

    private var meansToNative: [(String, JSONValue)] {
        guard let native else { return [] }
        return executors.compactMap { executor in meanRatio(executor, to: native).map { (executor.name, .number($0)) } }
    }

    private func guestJSON(_ result: GuestResult) -> JSONValue {
        .object([
            ("name", .string(result.guest.name)),
            ("instructions", result.instructions.map { .number($0) } ?? .null),
            ("identical", .boolean(result.complaints.isEmpty)),
            ("executors", .object(executors.compactMap { executor in
                result.measurements[executor].map { (executor.name, measurementJSON($0)) }
            })),
        ])
    }

    private func measurementJSON(_ time: Measurement) -> JSONValue {
        .object([
            ("median", .number(time.median)), ("fastest", .number(time.fastest)), ("slowest", .number(time.slowest)),
            ("wallMedian", .number(time.wallMedian)), ("samples", .array(time.samples.map { .number($0) })),
        ])
    }
}
