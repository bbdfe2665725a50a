// The columns of a benchmark: each a way to execute one and the same program.

import Mynah

enum Executor: Hashable {
    case engine(EngineChoice)
    case qemu(path: String)
    case native(directory: String)

    var name: String {
        switch self {
        case .engine(let engine): return engine.rawValue
        case .qemu: return "qemu"
        case .native: return "native"
        }
    }

    /// The command that runs `guest`; nil when this executor does not have it.
    func command(for guest: BenchGuest, statisticsFile: String?) -> [String]? {
        switch self {
        case .engine(let engine):
            let statistics = statisticsFile.map { ["--stats=json", "-o", $0] } ?? []
            return [Files.ownExecutable, "run", "--cache", "off", "--engine", engine.rawValue] + statistics + ["--", guest.path]
                + guest.arguments
        case .qemu(let path): return [path, guest.path] + guest.arguments
        case .native(let directory):
            let path = "\(directory)/\(guest.name)"
            return Files.isExecutable(path) ? [path] + guest.arguments : nil
        }
    }
}

struct BenchGuest {
    var name: String
    var path: String
    var arguments: [String]
    var isStartUpProbe: Bool
}
