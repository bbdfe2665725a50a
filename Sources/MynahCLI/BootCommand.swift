// `mynah boot`, and the same as qemu-system-riscv64.

import Glibc
import Mynah

extension ExitStatus {
    /// `--timeout` ran out; as timeout(1) has it.
    package static let timeout: Int32 = 124
}

let bootUsage = "USAGE: mynah boot [options]\n"

/// Runs what stands behind `mynah boot`.
func bootMachine(_ arguments: ArraySlice<String>) throws -> Int32 {
    let table = OptionTable<BootSettings>.boot
    var settings = BootSettings()
    let rest = try table.scan(arguments, environment: { _ in nil }, into: &settings)
    if settings.wantsHelp {
        Console.writeOutput(bootHelp(table))
        return ExitStatus.success
    }
    if let extra = rest.first {
        throw CommandFailure.usage("what is '\(extra)'? Files are given with --kernel, --firmware, --initrd or --drive")
    }
    return try boot(settings)
}

private func bootHelp(_ table: OptionTable<BootSettings>) -> String {
    """
    Boots a riscv64 computer that is compatible with QEMU's 'virt' machine; its serial console is this terminal.

    \(bootUsage)
    Give a kernel, or a firmware, or both. Keys: Ctrl-A x ends the machine, Ctrl-A c opens and closes the monitor, Ctrl-A Ctrl-A
    is one Ctrl-A for the guest. The exit status is the guest's when it powers off; 2 is a wrong command line, 124 a timeout,
    125 a defect of Mynah, 126 a file that cannot be booted, 127 one that is missing.

    OPTIONS:
    \(table.helpText)
    """
}

/// Makes the machine and stays with it to its end.
func boot(_ settings: BootSettings) throws -> Int32 {
    var settings = settings
    if settings.hasNoFirmware, settings.options.firmware == nil, let program = settings.options.kernel {
        settings.options.firmware = program
        settings.options.kernel = nil
    }
    guard settings.options.kernel != nil || settings.options.firmware != nil || settings.options.savedMachine != nil else {
        throw CommandFailure.usage("nothing to boot: give a kernel with --kernel or a firmware with --firmware")
    }
    try Files.requireWritable(settings.savePath, option: "--save", replaces: true)
    guard settings.saveTime == nil || settings.savePath != nil else {
        throw CommandFailure.usage("'--save-at' needs a file: give --save FILE")
    }
    if settings.options.kernel == nil, settings.options.initialDisk != nil {
        throw CommandFailure.usage("'--initrd' goes with a kernel; give one with --kernel")
    }
    if settings.deviceTreeDump != nil, settings.options.kernel == nil, settings.options.firmware == nil {
        throw CommandFailure.usage("'--dump-dtb' shows the tree of a boot: give what is booted, with --kernel or --firmware")
    }
    if settings.isSnapshot { for index in settings.options.drives.indices { settings.options.drives[index].isSnapshot = true } }
    try OwnOutput.prepare(settings.outputPath, kept: false)
    do {
        if let path = settings.options.savedMachine { try adoptSaved(SavedMachine(path: path), &settings) }
        if let path = settings.deviceTreeDump { return try dumpDeviceTree(settings.options, to: path) }
        return try BootRun(settings).run()
    } catch let error as ProgramError { throw CommandFailure(error) }
}

/// What the command line does not say is as it was when the machine was saved.
private func adoptSaved(_ saved: SavedMachine, _ settings: inout BootSettings) {
    if !settings.hasMemorySize { settings.options.memoryByteCount = saved.memoryByteCount }
    if !settings.hasHartCount { settings.options.hartCount = saved.hartCount }
    if saved.isDeterministic { settings.options.isDeterministic = true }
}

private func dumpDeviceTree(_ options: MachineOptions, to path: String) throws -> Int32 {
    let blob = try VirtualMachine(options, onOutput: { _ in }).deviceTree
    guard path != "-" else {
        _ = blob.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, stdout) }
        fflush(stdout)
        return ExitStatus.success
    }
    guard let file = fopen(path, "w") else {
        throw CommandFailure.usage("'--dump-dtb': cannot write '\(path)': \(String(cString: strerror(errno)))")
    }
    let count = blob.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) }
    guard fclose(file) == 0, count == blob.count else {
        throw CommandFailure(status: ExitStatus.failed, "cannot write all of '\(path)'")
    }
    return ExitStatus.success
}
