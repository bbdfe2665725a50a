// The command line of qemu's user mode, for when Mynah is called as qemu-riscv64: scripts, build tools and binfmt_misc
// entries that were written for it work unchanged.

import Mynah

extension OptionTable where Settings == RunSettings {
    package static func qemu(command: String) -> OptionTable {
        var table = OptionTable(command: command, grammar: .singleDash)
        table.flag("h", "help", "show this text") { $0.wantsHelp = true }
        table.option("L", nil, "path", environment: "QEMU_LD_PREFIX", "where the guest's dynamic linker and libraries are") {
            $0.options.sysroot = $1
        }
        table.option("E", nil, "var=value", environment: "QEMU_SET_ENV", "set variables for the guest (separated by commas)") {
            for setting in $1.split(separator: ",") {
                try $0.options.environment.append(parseEnvironmentSetting(String(setting)))
            }
        }
        table.option("U", nil, "var", environment: "QEMU_UNSET_ENV", "remove variables for the guest (separated by commas)") {
            for name in $1.split(separator: ",") { $0.options.environment.append(.remove(name: String(name))) }
        }
        table.option("0", nil, "argv0", environment: "QEMU_ARGV0", "the name that the guest sees as its argument 0") {
            $0.options.argumentZero = $1
        }
        table.option("r", nil, "uname", environment: "QEMU_UNAME", "the kernel release that the guest sees") {
            $0.options.kernelRelease = $1
        }
        table.option("s", nil, "size", environment: "QEMU_STACK_SIZE", "bytes of the guest's stack") {
            $0.options.stackByteCount = try parseByteCount($1)
        }
        table.option(nil, "cpu", "model", environment: "QEMU_CPU", "the processor that the guest sees") {
            $0.options.processor = $1
        }
        table.option("g", nil, "port", environment: "QEMU_GDB", "wait for gdb's 'target remote' at a port or socket") {
            $0.options.debugger = parseDebugger($1)
        }
        table.flag(nil, "strace", environment: "QEMU_STRACE", "trace system calls") { $0.options.trace = "all" }
        table.option("d", nil, "item[,...]", environment: "QEMU_LOG", "log in_asm, op, op_opt, out_asm, strace") {
            for item in $1.split(separator: ",") { try addLogItem(String(item), to: &$0.options) }
        }
        table.option("D", nil, "logfile", environment: "QEMU_LOG_FILENAME", "where the log goes instead of standard error") {
            $0.options.outputPath = $1
        }
        table.flag(nil, "version", "show the version") { $0.wantsVersion = true }
        // Options that change nothing here; accepted so that existing command lines work.
        table.option("p", nil, "pagesize", environment: "QEMU_PAGESIZE", "ignored: the page size is the host's") { _, _ in }
        table.option("R", nil, "size", environment: "QEMU_RESERVED_VA", "ignored: guest memory is not reserved") { _, _ in }
        table.option("B", nil, "address", environment: "QEMU_GUEST_BASE", "ignored: guest addresses are host addresses") { _, _ in
        }
        table.flag(nil, "one-insn-per-tb", environment: "QEMU_ONE_INSN_PER_TB", "interpret") { $0.options.engine = .interpreter }
        return table
    }
}

private func addLogItem(_ item: String, to options: inout ProgramOptions) throws {
    switch item {
    case "in_asm": options.dumps.append(.guest)
    case "op": options.dumps.append(.ir)
    case "op_opt": options.dumps.append(.optimized)
    case "out_asm": options.dumps.append(.host)
    case "strace": options.trace = "all"
    case "exec", "cpu", "int", "mmu", "page", "unimp", "guest_errors", "nochain": break
    default: throw OptionValueError("no log item '\(item)'; there are in_asm, op, op_opt, out_asm and strace")
    }
}
