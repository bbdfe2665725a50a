// What --backtrace prints when a signal ends the guest: registers, and the calls that led there, with symbols.
//
// Frame pointers are followed while they make sense. Code without them leaves return addresses on the stack, among other
// words: what points behind a call instruction is shown, marked as a guess.

import CHost
import Glibc
import Guest

/// A place in guest code on the way to the crash.
package struct BacktraceFrame: Equatable, Sendable {
    package var address: UInt64
    /// Found by looking through the stack: perhaps of a call that has returned.
    package var isGuess = false
    package init(address: UInt64, isGuess: Bool = false) {
        self.address = address
        self.isGuess = isGuess
    }
}

/// How a guest's calls are walked; see `RISCVLinuxABI`.
package struct StackReader {
    /// The 64-bit word at an address of the guest; nil when it cannot be read.
    package var word: (UInt64) -> UInt64?
    /// Whether the instruction before an address is a call.
    package var isBehindCall: (UInt64) -> Bool
    package init(word: @escaping (UInt64) -> UInt64?, isBehindCall: @escaping (UInt64) -> Bool) {
        self.word = word
        self.isBehindCall = isBehindCall
    }
}

extension LinuxThread {
    /// Registers and calls, a line each; for a thread that is not running.
    func backtraceText() -> String {
        let memory = process.memory, isa = process.engine.isa
        let reader = StackReader(
            word: { readGuest(UInt64.self, at: $0) },
            isBehindCall: { address in
                [2 as UInt64, 4].contains { byteCount in
                    guard address > byteCount, let window = memory.codeWindow(at: GuestAddress(address - byteCount))
                    else { return false }
                    let instruction = isa.disassemble(at: address - byteCount, in: window)
                    return instruction.byteCount == Int(byteCount) && self.process.abi.isCall(instruction.encoding)
                }
            })
        let maps = CodeMappings(memory.mappingsText())
        var text = process.abi.registerDump(state)
        for (number, frame) in process.abi.backtrace(state, reader, limit: 64).enumerated() {
            // A return address may be the start of the next function: the call is before it.
            let place = number == 0 ? frame.address : frame.address - 1
            var line = "#\(number)".padding(to: 4) + "0x" + String(frame.address, radix: 16)
            if let (path, offset) = maps.file(at: place) {
                let found = process.options.symbol?(path, offset)
                let name = found.map { "\($0.name)+0x" + String($0.offset + (frame.address - place), radix: 16) } ?? "?"
                line += " in \(name) (\(path.split(separator: "/").last ?? "?"))"
            }
            text += line + (frame.isGuess ? " ?\n" : "\n")
        }
        return text
    }

    /// A signal that the thread is about to send to its own process, whose default is to end it with a core: abort(3).
    func announceOwnDeath(_ arguments: SystemCallArguments) {
        let endsWithCore: Set<Int32> = [SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS]
        guard let signal = fatalSignal(ofCall: arguments)?.number, endsWithCore.contains(signal) else { return }
        report(signal, nil, "sent by itself")
    }
}

extension String {
    fileprivate func padding(to width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}

/// Files that are mapped where, from the text of /proc/self/maps.
package struct CodeMappings {
    private var files: [(range: Range<UInt64>, offset: UInt64, path: String)] = []

    package init(_ text: String) {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
            guard words.count == 6, let path = words.last?.drop(while: { $0 == " " }), path.hasPrefix("/") || path.hasPrefix("[")
            else { continue }
            let bounds = words[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
            guard bounds.count == 2, bounds[0] < bounds[1], let offset = UInt64(words[2], radix: 16) else { continue }
            files.append((bounds[0] ..< bounds[1], offset, String(path)))
        }
    }

    /// The file that is mapped at an address, and the place in the file.
    package func file(at address: UInt64) -> (path: String, offset: UInt64)? {
        files.first { $0.range.contains(address) }.map { ($0.path, $0.offset &+ (address - $0.range.lowerBound)) }
    }
}
