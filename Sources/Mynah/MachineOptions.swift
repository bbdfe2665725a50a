// A whole machine as plain data: everything `mynah boot` can be told.

import Machine

/// A disk image.
public struct DriveOptions: Equatable, Sendable {
    public enum Format: String, CaseIterable, Sendable { case raw, qcow2 }
    public var path: String
    /// nil: recognised by the file's content.
    public var format: Format?
    public var isReadOnly = false
    /// What the guest writes is gone at the end; the file stays as it is.
    public var isSnapshot = false
    public init(path: String) { self.path = path }
}

/// A connection from a port of the host to one of the guest.
public struct PortForward: Equatable, Sendable {
    public enum Transport: String, Sendable { case tcp, udp }
    public var transport: Transport
    /// Address of the host to listen at; nil for every one.
    public var hostAddress: String?
    public var hostPort: UInt16
    public var guestAddress: String?
    public var guestPort: UInt16
    public init(transport: Transport, hostAddress: String?, hostPort: UInt16, guestAddress: String?, guestPort: UInt16) {
        self.transport = transport
        self.hostAddress = hostAddress
        self.hostPort = hostPort
        self.guestAddress = guestAddress
        self.guestPort = guestPort
    }
}

/// A network card, and what its other end is connected with.
public enum NetworkOptions: Equatable, Sendable {
    /// A network of its own behind this process, without any rights.
    case user(forwards: [PortForward])
    /// A tap device of the host.
    case tap(name: String)
}

/// A directory of the host that the guest can mount.
public struct ShareOptions: Equatable, Sendable {
    public var directory: String
    /// The name that the guest mounts it by.
    public var tag: String
    public var isReadOnly = false
    public init(directory: String, tag: String) {
        self.directory = directory
        self.tag = tag
    }
}

/// What a saved machine consists of: enough to make one that it can be loaded into, but for its devices.
public struct SavedMachine: Sendable {
    public var memoryByteCount: Int
    public var hartCount: Int
    public var isDeterministic: Bool

    /// - Throws: `ProgramError` when the file is missing or is no saved machine.
    public init(path: String) throws {
        let description = try VirtualMachine.translatingErrors { try Board.description(ofFile: path) }
        memoryByteCount = description.memoryByteCount
        hartCount = description.hartCount
        isDeterministic = description.isDeterministic
    }
}

/// What to boot and on what.
public struct MachineOptions: Sendable {
    /// A Linux image, an ELF file or a raw binary; starts in supervisor mode, behind the firmware.
    public var kernel: String?
    /// Runs in machine mode; nil for the built-in firmware.
    public var firmware: String?
    public var initialDisk: String?
    /// Takes the place of the machine's own device tree.
    public var deviceTree: String?
    public var commandLine: String?
    public var memoryByteCount = 1 << 30
    public var hartCount = 1
    public var drives: [DriveOptions] = []
    public var networks: [NetworkOptions] = []
    public var shares: [ShareOptions] = []
    /// A memory balloon: the guest gives back what it does not use, and more when the monitor's `balloon` asks.
    public var hasBalloon = false
    public var engine = EngineChoice.auto
    /// As in `ProgramOptions`; never when the machine is deterministic.
    public var translatesInBackground: Bool?
    /// All harts on one thread in turns, time counted in instructions, randomness from a seed: each run is the same.
    public var isDeterministic = false
    /// Restart when the guest asks for it; otherwise that ends the run.
    public var restarts = true
    /// The harts wait for `resume` before their first instruction.
    public var startsPaused = false
    /// A file of a machine that was saved, which goes on. The same memory, harts and devices have to be given; the files to boot
    /// are for restarts only.
    public var savedMachine: String?
    /// Where gdb may connect, as often as it likes: `PORT`, `HOST:PORT` or the path of a Unix socket; nil for nowhere.
    public var debugger: String?
    public init() {}
}
