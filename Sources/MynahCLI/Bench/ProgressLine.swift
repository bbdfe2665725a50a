// A line on a terminal that says how far a long command is. Silent elsewhere.

import Glibc

struct ProgressLine {
    private let start = monotonicSeconds()
    private let isVisible = Console.errorIsTerminal && Console.environmentVariable("TERM") != "dumb"

    func show(_ done: Int, of total: Int, _ what: String) {
        guard isVisible else { return }
        if done >= total { return clear() }
        let filled = total > 0 ? done * 24 / total : 0
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 24 - filled)
        let elapsed = monotonicSeconds() - start
        let left = done > 0 ? " · \(duration(elapsed / Double(done) * Double(total - done))) left" : ""
        Console.writeError("\r\u{1B}[K\(bar) \(done)/\(total) \(what)\(left)")
    }

    func note(_ text: String) {
        if isVisible { Console.writeError("\r\u{1B}[K\(text)…") }
    }

    func clear() {
        if isVisible { Console.writeError("\r\u{1B}[K") }
    }
}
