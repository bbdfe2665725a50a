// Which of the host's processors this process may use.

import CHost

package enum HostProcessors {
    private static let mostWords = 128

    /// More than one; see sched_getaffinity(2).
    package static var areSeveral: Bool {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: mostWords) { words in
            let byteCount = mynah_syscall(204, 0, mostWords * 8, Int(bitPattern: words.baseAddress), 0, 0, 0)
            guard byteCount > 0 else { return false }
            return words[..<(byteCount / 8)].reduce(0) { $0 + $1.nonzeroBitCount } > 1
        }
    }
}
