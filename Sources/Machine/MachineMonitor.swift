// The monitor: a line in, an answer out, in the words of QEMU's monitor where it has them. The harts stand still while it looks.

import DeviceModel
import Devices
import Glibc
import GuestRISCV

package struct MachineMonitor {
    private let session: MachineSession
    private var board: Board { session.board }
    /// The hart that commands about one hart mean; kept by whoever owns the monitor.
    package var hart = 0

    package init(session: MachineSession, hart: Int = 0) {
        self.session = session
        self.hart = hart
    }

    private struct Command {
        let names: [String]
        let usage: String
        let help: String
        let body: (MachineMonitor, [Substring]) -> String
    }

    /// Commands that only look.
    package func execute(_ line: String) -> String {
        let words = line.split(separator: " ")
        guard let name = words.first else { return "" }
        guard let command = Self.commands.first(where: { $0.names.contains { name == $0 || name.hasPrefix($0 + "/") } }) else {
            return "no command '\(name)'; 'help' lists them\n"
        }
        return command.body(self, Array(words))
    }

    private static let commands: [Command] = [
        Command(names: ["help", "?"], usage: "help", help: "this list") { _, _ in
            let width = commands.map(\.usage.count).max() ?? 0
            return commands.map { "\($0.usage)\(String(repeating: " ", count: width - $0.usage.count))  \($0.help)\n" }.joined()
                + "quit\(String(repeating: " ", count: width - 4))  end the machine\n"
        },
        Command(
            names: ["info"], usage: "info registers|csr|harts|interrupts|tlb|mtree|balloon|status [HART]",
            help: "show the machine's state"
        ) { $0.info($1) },
        Command(names: ["x"], usage: "x/FMT ADDRESS", help: "memory at a virtual address; FMT is count, format xduci, size bhwg")
        { $0.examine($1, physical: false) },
        Command(names: ["xp"], usage: "xp/FMT ADDRESS", help: "memory at a physical address") { $0.examine($1, physical: true) },
        Command(names: ["pause", "stop"], usage: "pause", help: "stop the harts") { monitor, _ in
            monitor.session.pause()
            return ""
        },
        Command(names: ["cont", "c"], usage: "cont", help: "let the harts go on") { monitor, _ in
            if monitor.session.isHeld { return Self.heldText }
            monitor.session.resume()
            return ""
        },
        Command(
            names: ["step", "s"], usage: "step [COUNT] [HART]", help: "one hart executes instructions; the machine stays paused"
        ) { $0.step($1) },
        Command(names: ["reset", "system_reset"], usage: "reset", help: "as if switched off and on") { monitor, _ in
            monitor.session.reset()
            return ""
        },
        Command(names: ["balloon"], usage: "balloon MEGABYTES", help: "the guest is to do with so much memory") {
            $0.balloon($1)
        },
        Command(names: ["save", "savevm"], usage: "save FILE", help: "write the whole machine to a file; it goes on") {
            $0.save($1)
        },
        Command(names: ["load", "loadvm"], usage: "load FILE", help: "go on from a file of 'save'") { $0.load($1) },
        Command(
            names: ["dump", "pmemsave"], usage: "dump FILE [ADDRESS COUNT]",
            help: "write physical memory to a file; all RAM without a range"
        ) { $0.dump($1) },
    ]

    private static let heldText = "a debugger holds the machine: go on there\n"

    // MARK: info

    private func info(_ words: [Substring]) -> String {
        let what = words.count > 1 ? words[1] : ""
        let number = words.count > 2 ? Int(words[2]) ?? -1 : hart
        if what == "balloon" { return balloonInfo() }
        guard board.processor.harts.indices.contains(number) else {
            return "there are harts 0 to \(board.processor.harts.count - 1)\n"
        }
        return session.whilePaused {
            let hart = board.processor.harts[number]
            // One that was started and has not run yet is where it will start.
            for hart in board.processor.harts { hart.beginPendingStart() }
            switch what {
            case "registers", "r": return registers(hart)
            case "csr": return table(hart.core.controlRegisters.map { ($0.name, $0.value) })
            case "harts", "cpus": return board.processor.harts.map(line).joined()
            case "interrupts", "irq", "pic": return interrupts()
            case "tlb", "mem": return translations(hart)
            case "mtree": return memoryTree()
            case "status": return session.isPaused ? "paused\n" : "running\n"
            default: return "info what? registers, csr, harts, interrupts, tlb, mtree, balloon, status\n"
            }
        }
    }

    private func registers(_ hart: Hart) -> String {
        let names =
            ["zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1"] + (0...7).map { "a\($0)" } + (2...11).map { "s\($0)" }
            + (3...6).map { "t\($0)" }
        return line(hart) + table([("pc", hart.programCounter)] + names.enumerated().map { ($1, hart[$0]) })
    }

    private func line(_ hart: Hart) -> String {
        "hart \(hart.id): \(hart.phase), \(hart.core.privilege) mode, pc \(padded(hart.programCounter)), "
            + "\(hart.core.translationMode), "
            + "pending \(hexadecimal(hart.core.pending))\n"
    }

    private func table(_ rows: [(String, UInt64)]) -> String {
        var text = ""
        for (index, row) in rows.enumerated() {
            let name = String(repeating: " ", count: max(0, 14 - row.0.count)) + row.0
            text += "\(name) \(padded(row.1))" + (index % 3 == 2 || index == rows.count - 1 ? "\n" : "")
        }
        return text
    }

    private func padded(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    private func interrupts() -> String {
        let state = board.interruptController.state
        var text = "source  priority  level  pending  in service  enabled for\n"
        for source in 1..<BoardMap.interruptSources {
            let bit = { (words: [UInt32]) in words[source / 32] >> UInt32(source % 32) & 1 != 0 }
            let contexts = state.enables.indices.filter { bit(state.enables[$0]) }.map { "\($0 / 2)\($0 % 2 == 0 ? "M" : "S")" }
            guard state.priorities[source] != 0 || bit(state.levels) || bit(state.pending) || !contexts.isEmpty else { continue }
            let columns: [(String, Int)] = [
                ("\(source)", 8), ("\(state.priorities[source])", 10), (bit(state.levels) ? "1" : "0", 7),
                (bit(state.pending) ? "1" : "0", 9),
                (bit(state.inService) ? "1" : "0", 12),
            ]
            text +=
                columns.map { $0.0 + String(repeating: " ", count: max(0, $0.1 - $0.0.count)) }.joined()
                + contexts.joined(separator: " ") + "\n"
        }
        return text + board.processor.harts.map(line).joined()
    }

    private func translations(_ hart: Hart) -> String {
        let limit = 200
        let all = hart.core.mappings(limit: limit)
        if all.isEmpty { return "\(hart.core.translationMode): nothing is mapped\n" }
        let lines = all.map { "\(padded($0.virtual)) \(padded($0.physical)) \(padded($0.byteCount)) \($0.permissions)\n" }
            .joined()
        return "\(hart.core.translationMode)\nvirtual          physical         bytes            rwxugad\n\(lines)"
            + (all.count >= limit ? "only the first \(limit)\n" : "")
    }

    private func memoryTree() -> String {
        let rams = board.memory.rams.map { ($0.address, $0.byteCount, "RAM") }
        let windows = board.bus.windows.map { ($0.address, $0.byteCount, $0.device.name) }
        return (rams + windows).sorted { $0.0 < $1.0 }.map { "\(padded($0.0))-\(padded($0.0 + $0.1 - 1)) \($0.2)\n" }.joined()
    }

    // MARK: Balloon

    private static let noBalloonText = "the machine has no balloon: start it with --balloon\n"

    private func balloon(_ words: [Substring]) -> String {
        guard let balloon = board.balloon else { return Self.noBalloonText }
        let all = board.configuration.memoryByteCount >> 20
        guard words.count == 2, let megabytes = Int(words[1]), (1...all).contains(megabytes) else {
            return "how much memory is the guest to have? balloon MEGABYTES, 1 to \(all)\n"
        }
        balloon.inflate(toPages: UInt32((all - megabytes) << 8))
        return ""
    }

    /// The guest is asked, and has a moment to answer.
    private func balloonInfo() -> String {
        guard let balloon = board.balloon else { return Self.noBalloonText }
        if !session.isPaused, balloon.refreshStatistics() {
            for _ in 0..<30 where balloon.isWaiting { usleep(10_000) }
        }
        let state = balloon.state, all = board.configuration.memoryByteCount >> 20
        return
            "the guest has \(all - Int(state.givenPages >> 8)) MiB of \(all), and is to have "
                + "\(all - Int(state.wantedPages >> 8)); "
            + "\(balloon.reportedBytes >> 20) MiB were reported as unused\n"
            + balloon.statistics.map { "\($0.name): \($0.value)\n" }.joined()
    }

    // MARK: x

    private func examine(_ words: [Substring], physical: Bool) -> String {
        let parts = words[0].split(separator: "/", maxSplits: 1)
        let format = ExamineFormat(parts.count > 1 ? String(parts[1]) : "")
        guard let format else { return "a format is a count, one of x d u c i, and one of b h w g\n" }
        guard words.count == 2, let start = Self.number(words[1]) else {
            return "which address? x/FMT ADDRESS, e.g. x/8xg 0x80200000\n"
        }
        let processor = board.processor
        guard processor.harts.indices.contains(hart) else { return "" }
        return session.whilePaused {
            let core = processor.harts[hart].core
            let read = { (address: UInt64) -> UInt8? in
                var target = address
                if !physical && core.privilege != .machine {
                    guard let mapping = core.mapping(of: address) else { return nil }
                    target = mapping.physical &+ (address &- mapping.virtual)
                }
                return board.memory.hostPointer(target, byteCount: 1).map { $0.load(as: UInt8.self) }
            }
            return format.text(at: start, read: read) { core.disassemble(at: $0, read) }
        }
    }

    static func number(_ text: Substring) -> UInt64? {
        text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
    }

    // MARK: Changing

    private func step(_ words: [Substring]) -> String {
        let count = words.count > 1 ? Int(words[1]) ?? 0 : 1
        let number = words.count > 2 ? Int(words[2]) ?? -1 : hart
        guard count > 0, count <= 1_000_000, board.processor.harts.indices.contains(number) else {
            return "step [COUNT] [HART]: 1 to 1000000 instructions of hart 0 to \(board.processor.harts.count - 1)\n"
        }
        if session.isHeld { return Self.heldText }
        session.pause()
        let hart = board.processor.harts[number]
        for _ in 0..<count { hart.step() }
        return line(hart)
    }

    private func save(_ words: [Substring]) -> String {
        guard words.count == 2 else { return "save FILE\n" }
        do { try session.save(to: String(words[1])) } catch { return "\(error)\n" }
        return ""
    }

    private func load(_ words: [Substring]) -> String {
        guard words.count == 2 else { return "load FILE\n" }
        do { return try session.load(from: String(words[1])).map { "note: \($0)\n" }.joined() } catch { return "\(error)\n" }
    }

    private func dump(_ words: [Substring]) -> String {
        var range = (BoardMap.memory, board.configuration.memoryByteCount)
        guard words.count == 2 || words.count == 4 else { return "dump FILE [ADDRESS COUNT]\n" }
        if words.count == 4 {
            guard let address = Self.number(words[2]), let count = Self.number(words[3]), count < 1 << 40 else {
                return "dump FILE [ADDRESS COUNT]\n"
            }
            range = (address, Int(count))
        }
        guard let host = board.memory.hostPointer(range.0, byteCount: range.1) else { return "that range is not all RAM\n" }
        return session.whilePaused {
            guard let file = fopen(String(words[1]), "w") else {
                return "cannot write '\(words[1])': \(String(cString: strerror(errno)))\n"
            }
            // SAFETY: `hostPointer` has checked the range.
            let written = fwrite(host, 1, range.1, file)
            guard fclose(file) == 0, written == range.1 else {
                return "cannot write all of '\(words[1])': \(String(cString: strerror(errno)))\n"
            }
            return "\(range.1) bytes\n"
        }
    }
}
