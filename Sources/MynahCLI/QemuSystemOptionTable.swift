// The command line of qemu's machine mode, for when Mynah is called as qemu-system-riscv64: scripts and test suites that boot `-M
// virt` work unchanged, as far as the machine has what they ask for.

import Mynah

extension OptionTable where Settings == BootSettings {
    package static func qemuSystem(command: String) -> OptionTable {
        var table = OptionTable(command: command, grammar: .singleDash)
        table.flag("h", "help", "show this text") { $0.wantsHelp = true }
        table.flag(nil, "version", "show the version") { $0.wantsVersion = true }
        table.addQemuMachine()
        table.addQemuFiles()
        table.addQemuDevices()
        table.addQemuConsole()
        table.addQemuIgnored()
        return table
    }

    private mutating func addQemuMachine() {
        let machine: (inout BootSettings, String) throws -> Void = { settings, text in try applyMachine(text, &settings) }
        option("M", nil, "virt[,dumpdtb=file]", "the machine; there is virt", machine)
        option(nil, "machine", "virt", "the same", machine)
        option("m", nil, "size[M|G]", "RAM (default 128M)") { settings, text in
            let first = splitOptionList(text)[0]
            settings.options.memoryByteCount = try parseMemorySize(first.hasPrefix("size=") ? String(first.dropFirst(5)) : first)
            settings.hasMemorySize = true
        }
        option(nil, "smp", "n[,cpus=n]", "harts") { settings, text in
            for part in splitOptionList(text) {
                let pair = part.split(separator: "=", maxSplits: 1).map(String.init)
                guard pair.count == 1 || pair[0] == "cpus" else { continue }
                settings.options.hartCount = try parseHartCount(pair[pair.count - 1])
                settings.hasHartCount = true
            }
        }
        option(nil, "cpu", "model", "the processor: max, rv64, or any; all are the one that there is") { _, text in
            let model = splitOptionList(text)[0]
            guard ["max", "rv64", "any", "host"].contains(model) else {
                throw OptionValueError(
                    "no processor '\(model)'; there are max, rv64 and any, all with every extension that 'mynah isa' lists")
            }
        }
        flag(nil, "no-reboot", "end when the guest restarts") { $0.options.restarts = false }
        option(nil, "loadvm", "file", "go on from a file that the monitor's savevm made") { $0.options.savedMachine = $1 }
        option(nil, "incoming", "file:f", "the same") {
            guard $1.hasPrefix("file:"), $1.count > 5 else {
                throw OptionValueError("no source '\($1)'; there is file:FILE, which the monitor's savevm makes")
            }
            $0.options.savedMachine = String($1.dropFirst(5))
        }
        flag("S", nil, "wait for gdb, or for 'cont' in the monitor, before the first instruction") {
            $0.options.startsPaused = true
        }
        flag("s", nil, "the same as -gdb tcp::1234") { $0.options.debugger = "1234" }
        option(nil, "gdb", "tcp:[host]:port|unix:path|none", "where gdb's 'target remote' may connect; it is waited for with -S")
        {
            $0.options.debugger = try parseQemuDebugger($1)
        }
    }

    private mutating func addQemuFiles() {
        option(nil, "kernel", "file", "kernel: Linux Image, ELF, or raw") { $0.options.kernel = $1 }
        option(nil, "initrd", "file", "initial RAM disk") { $0.options.initialDisk = $1 }
        option(nil, "append", "text", "the kernel's command line") { $0.options.commandLine = $1 }
        option(nil, "dtb", "file", "device tree instead of the machine's own") { $0.options.deviceTree = $1 }
        option(nil, "bios", "file|none|default", "firmware; none starts the kernel in machine mode; default is the built-in one")
        {
            $0.hasNoFirmware = $1 == "none"
            $0.options.firmware = ["none", "default"].contains($1) ? nil : $1
        }
        flag(nil, "snapshot", "what the guest writes to drives is gone at the end") { $0.isSnapshot = true }
    }

    private mutating func addQemuDevices() {
        option(nil, "drive", "file=f[,format=][,if=virtio|none,id=][,readonly=on]", "disk") { try applyQemuDrive($1, &$0) }
        for letter in ["a", "b", "c", "d"] {
            option(nil, "hd\(letter)", "file", "disk") { $0.options.drives.append(DriveOptions(path: $1)) }
        }
        option(nil, "device", "name[,property=value]", "virtio-blk, -net, -9p and -rng, with -device or -pci or neither") {
            try applyQemuDevice($1, &$0)
        }
        option(nil, "netdev", "user|tap,id=n[,hostfwd=...]", "host's end of a network card") { try applyNetdev($1, &$0) }
        option(nil, "nic", "none|user[,hostfwd=...]|tap,ifname=n", "network card") { try applyNic($1, &$0) }
        option(nil, "net", "none|nic|user", "the same, of old") { try applyNic($1, &$0) }
        option(nil, "fsdev", "local,path=d,id=n[,readonly=on]", "directory for virtio-9p") {
            let (share, id, _) = try qemuShare($1)
            guard let id else { throw OptionValueError("which id? local,path=DIR,id=NAME") }
            $0.sharedDirectories[id] = share
        }
        option(nil, "virtfs", "local,path=d,mount_tag=n[,readonly=on]", "directory that the guest can mount") {
            var (share, _, tag) = try qemuShare($1)
            share.tag = tag ?? "host"
            $0.options.shares.append(share)
        }
    }

    private mutating func addQemuConsole() {
        flag(nil, "nographic", "serial console on this terminal, as always") { _ in }
        option(nil, "display", "none", "there is no display") { _, _ in }
        option(nil, "serial", "mon:stdio|stdio|none|null", "where the serial console is") { settings, text in
            switch text {
            case "mon:stdio", "stdio", "chardev:stdio": break
            case "none", "null": settings.hasConsoleInput = false
            default: throw OptionValueError("no serial port at '\(text)'; there are mon:stdio, stdio and none")
            }
        }
        option(nil, "monitor", "none|stdio", "the monitor is behind Ctrl-A c") { _, _ in }
    }

    /// What changes nothing here; accepted so that existing command lines work.
    private mutating func addQemuIgnored() {
        for (name, value) in [
            ("name", "text"), ("rtc", "options"), ("boot", "options"), ("accel", "name"), ("global", "driver.property=value"),
            ("object", "type"),
            ("chardev", "options"), ("vga", "type"), ("d", "items"), ("D", "file"), ("pidfile", "file"), ("uuid", "id"),
            ("k", "language"),
        ] {
            option(nil, name, value, "ignored") { _, _ in }
        }
        for name in ["nodefaults", "no-user-config", "no-hpet", "no-acpi", "enable-kvm", "usb", "daemonize"] {
            flag(nil, name, "ignored") { _ in }
        }
    }
}

// MARK: - Values

/// qemu's character device for `-gdb`; nil for none.
private func parseQemuDebugger(_ text: String) throws -> String? {
    let parts = splitOptionList(text)
    if parts == ["none"] { return nil }
    // Whether it waits for a connection is what -S says.
    let known = [
        "server", "server=on", "wait=off", "nowait", "wait=on", "nodelay", "nodelay=on", "ipv4", "ipv4=on", "reuseaddr=on",
    ]
    guard !parts[0].isEmpty, parts.dropFirst().allSatisfy(known.contains),
        parts[0].hasPrefix("tcp:") || parts[0].hasPrefix("unix:")
    else {
        throw OptionValueError("no place for gdb '\(text)'; there are tcp:[HOST]:PORT, unix:PATH and none")
    }
    return parseDebugger(parts[0])
}

/// `key=value` of the parts of a list; a part without `=` has itself as its key.
private func pairs(_ text: String) -> [(key: String, value: String?)] {
    splitOptionList(text).map { part in
        let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        return (pair[0], pair.count > 1 ? pair[1] : nil)
    }
}

private func applyMachine(_ text: String, _ settings: inout BootSettings) throws {
    for (index, pair) in pairs(text).enumerated() {
        switch (pair.key, pair.value) {
        case ("type", "virt"?), ("virt", nil): break
        case ("dumpdtb", let path?): settings.deviceTreeDump = path
        case ("accel", _), ("aclint", "off"?), ("aia", "none"?), ("acpi", _): break
        default:
            throw OptionValueError(
                index == 0 ? "no machine '\(pair.key)'; there is virt" : "the machine has no '\(pair.key)=\(pair.value ?? "")'")
        }
    }
}

private func applyQemuDrive(_ text: String, _ settings: inout BootSettings) throws {
    var drive = DriveOptions(path: ""), interface = "virtio", id: String?
    for (key, value) in pairs(text) {
        switch key {
        case "if": interface = value ?? ""
        case "id": id = value
        default: try applyDriveOption(key, value, to: &drive)
        }
    }
    guard !drive.path.isEmpty else { throw OptionValueError("which file? file=FILE") }
    switch (interface, id) {
    case ("none", let id?): settings.unattachedDrives[id] = drive
    case ("virtio", _): settings.options.drives.append(drive)
    case ("none", nil): throw OptionValueError("a drive with if=none needs an id, by which a -device takes it")
    default: throw OptionValueError("no interface '\(interface)'; there are virtio and none")
    }
}

private func applyQemuDevice(_ text: String, _ settings: inout BootSettings) throws {
    let all = pairs(text), name = all[0].key
    let property = { (key: String) in all.dropFirst().first { $0.key == key }?.value }
    let kind = name.hasSuffix("-device") ? String(name.dropLast(7)) : name.hasSuffix("-pci") ? String(name.dropLast(4)) : name
    switch kind {
    case "virtio-blk":
        guard let id = property("drive"), let drive = settings.unattachedDrives.removeValue(forKey: id) else {
            throw OptionValueError("no drive '\(property("drive") ?? "")'; give it before, with -drive if=none,id=NAME,file=FILE")
        }
        settings.options.drives.append(drive)
    case "virtio-net":
        guard let id = property("netdev"), let network = settings.unattachedNetworks.removeValue(forKey: id) else {
            throw OptionValueError("no netdev '\(property("netdev") ?? "")'; give it before, with -netdev user,id=NAME")
        }
        settings.options.networks.append(network)
    case "virtio-9p":
        guard let id = property("fsdev"), var share = settings.sharedDirectories[id] else {
            throw OptionValueError("no fsdev '\(property("fsdev") ?? "")'; give it before, with -fsdev local,id=NAME,path=DIR")
        }
        share.tag = property("mount_tag") ?? id
        settings.options.shares.append(share)
    case "virtio-balloon": settings.options.hasBalloon = true
    case "virtio-rng", "virtio-serial": break  // randomness is always there; the others are hints
    default:
        throw OptionValueError(
            "no device '\(name)'; there are virtio-blk-device, virtio-net-device, virtio-9p-device, virtio-balloon-device and "
                + "virtio-rng-device")
    }
}

private func networkOptions(_ all: [(key: String, value: String?)]) throws -> NetworkOptions {
    switch all[0].key {
    case "user":
        let forwards = try all.filter { $0.key == "hostfwd" }.map { try parseForward($0.value ?? "") }
        return .user(forwards: forwards)
    case "tap":
        guard let name = all.first(where: { $0.key == "ifname" })?.value, !name.isEmpty else {
            throw OptionValueError("which tap? tap,ifname=NAME")
        }
        return .tap(name: name)
    default: throw OptionValueError("no network '\(all[0].key)'; there are user and tap")
    }
}

private func applyNetdev(_ text: String, _ settings: inout BootSettings) throws {
    let all = pairs(text)
    guard let id = all.first(where: { $0.key == "id" })?.value else { throw OptionValueError("which id? user,id=NAME") }
    settings.unattachedNetworks[id] = try networkOptions(all)
}

private func applyNic(_ text: String, _ settings: inout BootSettings) throws {
    let all = pairs(text)
    switch all[0].key {
    case "none": settings.options.networks = []
    case "nic": break
    default: settings.options.networks.append(try networkOptions(all))
    }
}

private func qemuShare(_ text: String) throws -> (ShareOptions, id: String?, tag: String?) {
    let all = pairs(text)
    let property = { (key: String) in all.dropFirst().first { $0.key == key }?.value }
    guard all[0].key == "local", let path = property("path") else { throw OptionValueError("expected local,path=DIR,…") }
    guard Files.isDirectory(path) else { throw OptionValueError("'\(path)' is no directory") }
    var share = ShareOptions(directory: path, tag: "host")
    if all.contains(where: { $0.key == "readonly" }) { share.isReadOnly = try parseSwitch(property("readonly"), "readonly") }
    return (share, property("id"), property("mount_tag"))
}

/// Runs with the command line of qemu's machine mode.
func bootAsQemu(_ arguments: [String], name: String, machine: String) throws -> Int32 {
    let table = OptionTable<BootSettings>.qemuSystem(command: name)
    var settings = BootSettings()
    settings.options.memoryByteCount = 128 << 20
    let rest = try table.scan(arguments.dropFirst(), environment: { _ in nil }, into: &settings)
    if settings.wantsHelp {
        Console.writeOutput(
            "usage: \(name) [options] [disk]\n\nMynah, with the options of qemu's machine mode.\n\n\(table.helpText)")
        return ExitStatus.success
    }
    if settings.wantsVersion {
        Console.writeOutput("\(name): Mynah version \(mynahVersion)\n")
        return ExitStatus.success
    }
    guard machine == "riscv64" else {
        throw CommandFailure(status: ExitStatus.notRunnable, "Mynah has no \(machine) machine yet; it has riscv64")
    }
    settings.options.drives += rest.map { DriveOptions(path: $0) }
    if let id = settings.unattachedDrives.keys.sorted().first {
        throw CommandFailure.usage("the drive '\(id)' is connected with nothing; add: -device virtio-blk-device,drive=\(id)")
    }
    if let id = settings.unattachedNetworks.keys.sorted().first {
        throw CommandFailure.usage("the netdev '\(id)' is connected with nothing; add: -device virtio-net-device,netdev=\(id)")
    }
    return try boot(settings)
}
