// The options of `mynah boot`, one row each.

import Mynah

/// What a command line of `boot` asks for.
package struct BootSettings {
    package var options = MachineOptions()
    package var wantsHelp = false
    package var wantsVersion = false
    /// Seconds after which the machine is stopped.
    package var timeout: Double?
    /// Text on the console that ends the run with success.
    package var expected: String?
    package var statistics: StatisticsFormat?
    package var outputPath: String?
    /// File for the device tree, instead of booting.
    package var deviceTreeDump: String?
    /// All drives as snapshots.
    package var isSnapshot = false
    /// Where the machine is saved to when it is stopped, and the seconds of guest time after which it is.
    package var savePath: String?
    package var saveTime: Double?
    /// Options that a saved machine need not be told.
    package var hasMemorySize = false
    package var hasHartCount = false
    /// qemu's `-drive if=none,id=…` and `-netdev id=…`, until a device takes them.
    package var unattachedDrives: [String: DriveOptions] = [:]
    package var unattachedNetworks: [String: NetworkOptions] = [:]
    /// The directories of qemu's `-fsdev`, by id.
    package var sharedDirectories: [String: ShareOptions] = [:]
    /// qemu's `-bios none`: what is given as kernel starts in machine mode.
    package var hasNoFirmware = false
    /// Standard input belongs to the monitor or to nobody.
    package var hasConsoleInput = true
    /// `Ctrl-A` leads to commands; otherwise every key is the guest's.
    package var hasEscapeKey = true
    package init() {}
}

extension OptionTable where Settings == BootSettings {
    package static var boot: OptionTable {
        var table = OptionTable(command: "mynah boot")
        table.addBootFiles()
        table.addHardware()
        table.addRunOptions()
        table.addSaving()
        table.flag("h", "help", "show this text") { $0.wantsHelp = true }
        return table
    }

    private mutating func addBootFiles() {
        option("k", "kernel", "FILE", "kernel to start in supervisor mode: Linux Image (gzip too), ELF, or raw") {
            $0.options.kernel = $1
        }
        option("i", "initrd", "FILE", "initial RAM disk for the kernel") { $0.options.initialDisk = $1 }
        option("a", "append", "TEXT", "the kernel's command line") { $0.options.commandLine = $1 }
        option(nil, "firmware", "FILE", "firmware to start in machine mode, e.g. OpenSBI or U-Boot; a small one is built in") {
            $0.options.firmware = $1
        }
        option(nil, "dtb", "FILE", "device tree instead of the machine's own") { $0.options.deviceTree = $1 }
        option(nil, "dump-dtb", "FILE", "write the device tree and end; - for standard output") { $0.deviceTreeDump = $1 }
    }

    private mutating func addHardware() {
        option("m", "memory", "SIZE", "RAM; K, M and G are understood, M without a letter (default 1G)") {
            $0.options.memoryByteCount = try parseMemorySize($1)
            $0.hasMemorySize = true
        }
        option(nil, "cpus", "N", "harts, 1 to 8 (default 1)") {
            $0.options.hartCount = try parseHartCount($1)
            $0.hasHartCount = true
        }
        option("d", "drive", "FILE[,format=raw|qcow2][,readonly][,snapshot]", "disk (repeatable)") {
            $0.options.drives.append(try parseDrive($1))
        }
        flag(nil, "snapshot", "what the guest writes to drives is gone at the end") { $0.isSnapshot = true }
        option("n", "net", "none|user[,hostfwd=tcp:HOST:PORT-GUEST:PORT]|tap=NAME", "network card (repeatable)") {
            if let network = try parseNetwork($1) { $0.options.networks.append(network) } else { $0.options.networks = [] }
        }
        option(nil, "share", "DIR[,tag=NAME][,readonly]", "directory that the guest can mount by its tag (default: host)") {
            $0.options.shares.append(try parseShare($1, taken: $0.options.shares.map(\.tag)))
        }
        flag(nil, "balloon", "memory balloon: unused memory goes back to the host; more by 'balloon' in the monitor") {
            $0.options.hasBalloon = true
        }
    }

    private mutating func addSaving() {
        option(
            nil, "save", "FILE", "save the machine when it is stopped: by --save-at, --expect, --timeout, Ctrl-A x or a signal"
        ) {
            guard !$1.isEmpty else { throw OptionValueError("which file?") }
            $0.savePath = $1
        }
        option(nil, "save-at", "SECONDS", "stop and save it when the guest has run that long, by its own clock") {
            $0.saveTime = try parseSeconds($1)
        }
        option(nil, "load", "FILE", "go on from a saved machine; give the same drives, networks, shares and balloon") {
            $0.options.savedMachine = $1
        }
    }

    private mutating func addRunOptions() {
        option(nil, "timeout", "SECONDS", "stop the machine after that time; status 124") { $0.timeout = try parseSeconds($1) }
        option(nil, "expect", "TEXT", "end with status 0 as soon as the console shows it; 1 when the machine ends without") {
            guard !$1.isEmpty else { throw OptionValueError("the text is empty, which every console shows") }
            $0.expected = $1
        }
        flag(nil, "no-reboot", "end when the guest restarts") { $0.options.restarts = false }
        flag(nil, "paused", "wait for 'cont' in the monitor (Ctrl-A c) before the first instruction") {
            $0.options.startsPaused = true
        }
        option("g", "gdb", "PORT|SOCKET[,nowait]", "wait for gdb's 'target remote', or let it come when it likes") {
            (settings: inout BootSettings, text: String) in try applyDebugger(text, &settings)
        }
        flag(nil, "deterministic", "harts take turns, time is counted in instructions: every run is the same") {
            $0.options.isDeterministic = true
        }
        option(nil, "engine", "NAME", "how to execute: \(EngineChoice.allCases.map(\.rawValue).joined(separator: ", "))") {
            $0.options.engine = try parseEngine($1)
        }
        option(
            nil, "background", "on|off",
            "translate hot loops on a thread of their own (default: where there are several processors)"
        ) {
            $0.options.translatesInBackground = try parseSwitch($1)
        }
        optionalValue("stats", "json", "print what the engine did, at the end") {
            guard let format = StatisticsFormat(rawValue: $1 ?? "text") else {
                throw OptionValueError("expected 'text' or 'json', found '\($1 ?? "")'")
            }
            $0.statistics = format
        }
        option("o", "output", "FILE", "where statistics go instead of standard error") { $0.outputPath = $1 }
    }
}

// MARK: - Values

/// `[tcp:][HOST:]PORT|[unix:]PATH[,nowait]`.
func applyDebugger(_ text: String, _ settings: inout BootSettings) throws {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    let waits = parts.last != "nowait"
    settings.options.debugger = parseDebugger(waits ? text : parts.dropLast().joined(separator: ","))
    if waits { settings.options.startsPaused = true }
}

/// Bytes of RAM: a number is in MiB unless it has a letter, as qemu has it.
func parseMemorySize(_ text: String) throws -> Int {
    if let megabytes = Int(text) {
        guard (1...1 << 24).contains(megabytes) else {
            throw OptionValueError("expected a size such as 512M or 2G, found '\(text)'")
        }
        return megabytes << 20
    }
    return try parseByteCount(text)
}

func parseHartCount(_ text: String) throws -> Int {
    guard let count = Int(text), (1...8).contains(count) else {
        throw OptionValueError("a machine has 1 to 8 harts, not '\(text)'")
    }
    return count
}

func parseSeconds(_ text: String) throws -> Double {
    guard let seconds = Double(text), seconds > 0, seconds < 1e9 else {
        throw OptionValueError("expected a number of seconds, found '\(text)'")
    }
    return seconds
}

/// `FIRST,key=value,flag`: commas that are part of the first word are doubled, as for qemu.
func splitOptionList(_ text: String) -> [String] {
    var parts = [""], rest = Substring(text)
    while let character = rest.popFirst() {
        if character != "," {
            parts[parts.count - 1].append(character)
        } else if rest.first == "," {
            rest.removeFirst()
            parts[parts.count - 1].append(",")
        } else {
            parts.append("")
        }
    }
    return parts
}

func parseSwitch(_ value: String?, _ key: String) throws -> Bool {
    switch value ?? "on" {
    case "on", "yes", "true": return true
    case "off", "no", "false": return false
    default: throw OptionValueError("'\(key)' is on or off, not '\(value ?? "")'")
    }
}

func parseDrive(_ text: String) throws -> DriveOptions {
    var drive = DriveOptions(path: "")
    for (index, part) in splitOptionList(text).enumerated() {
        let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        if index == 0 && (pair.count == 1 || !["file", "format", "readonly", "snapshot", "if", "id"].contains(pair[0])) {
            drive.path = part
        } else {
            try applyDriveOption(pair[0], pair.count > 1 ? pair[1] : nil, to: &drive)
        }
    }
    guard !drive.path.isEmpty else { throw OptionValueError("which file? FILE[,format=raw|qcow2][,readonly][,snapshot]") }
    return drive
}

/// - Returns: false for a key that says nothing about the drive itself.
func applyDriveOption(_ key: String, _ value: String?, to drive: inout DriveOptions) throws {
    switch key {
    case "file": drive.path = value ?? ""
    case "format":
        guard let format = DriveOptions.Format(rawValue: value ?? "") else {
            throw OptionValueError("no format '\(value ?? "")'; there are raw and qcow2")
        }
        drive.format = format
    case "readonly", "read-only": drive.isReadOnly = try parseSwitch(value, key)
    case "snapshot": drive.isSnapshot = try parseSwitch(value, key)
    // How the host's file is read and written; nothing here depends on it.
    case "cache", "aio", "discard", "detect-zeroes", "werror", "rerror", "index", "media": break
    default: throw OptionValueError("no drive option '\(key)'; there are format, readonly and snapshot")
    }
}

func parseNetwork(_ text: String) throws -> NetworkOptions? {
    let parts = splitOptionList(text)
    let first = parts[0].split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    switch (first[0], first.count) {
    case ("none", 1) where parts.count == 1: return nil
    case ("user", 1): return .user(forwards: try parseForwards(parts.dropFirst()))
    case ("tap", 2) where !first[1].isEmpty && parts.count == 1: return .tap(name: first[1])
    default: throw OptionValueError("no network '\(text)'; there are none, user[,hostfwd=tcp:HOST:PORT-GUEST:PORT] and tap=NAME")
    }
}

private func parseForwards(_ parts: ArraySlice<String>) throws -> [PortForward] {
    try parts.map { part in
        guard part.hasPrefix("hostfwd=") else {
            throw OptionValueError("no option '\(part)' of user; there is hostfwd=tcp:HOST:PORT-GUEST:PORT")
        }
        return try parseForward(String(part.dropFirst(8)))
    }
}

/// `tcp:127.0.0.1:2222-:22`: qemu's grammar.
func parseForward(_ text: String) throws -> PortForward {
    let failure = OptionValueError("expected tcp:HOST:PORT-GUEST:PORT such as tcp::2222-:22, found '\(text)'")
    let halves = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    guard halves.count == 2 else { throw failure }
    let host = halves[0].split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    let guest = halves[1].split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard host.count == 3, guest.count == 2, let transport = PortForward.Transport(rawValue: host[0].isEmpty ? "tcp" : host[0]),
        let hostPort = UInt16(host[2]), let guestPort = UInt16(guest[1]), guestPort != 0
    else { throw failure }
    return PortForward(
        transport: transport, hostAddress: host[1].isEmpty ? nil : host[1], hostPort: hostPort,
        guestAddress: guest[0].isEmpty ? nil : guest[0],
        guestPort: guestPort)
}

func parseShare(_ text: String, taken: [String]) throws -> ShareOptions {
    let parts = splitOptionList(text)
    var share = ShareOptions(directory: parts[0], tag: taken.contains("host") ? "host\(taken.count)" : "host")
    for part in parts.dropFirst() {
        let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        switch pair[0] {
        case "tag" where pair.count > 1 && !pair[1].isEmpty: share.tag = pair[1]
        case "readonly": share.isReadOnly = try parseSwitch(pair.count > 1 ? pair[1] : nil, "readonly")
        default: throw OptionValueError("no option '\(part)' of a share; there are tag=NAME and readonly")
        }
    }
    guard !share.directory.isEmpty else { throw OptionValueError("which directory? DIR[,tag=NAME][,readonly]") }
    guard Files.isDirectory(share.directory) else { throw OptionValueError("'\(share.directory)' is no directory") }
    guard !taken.contains(share.tag) else {
        throw OptionValueError("the tag '\(share.tag)' is taken; give another with tag=NAME")
    }
    return share
}
