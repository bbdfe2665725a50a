// Symbols of translated code for perf: lines of address, size, name in /tmp/perf-PID.map.

import Glibc

package final class PerfMap {
    private let file: UnsafeMutablePointer<FILE>?

    package init() { file = fopen("/tmp/perf-\(getpid()).map", "we") }

    deinit { if let file { fclose(file) } }

    package func add(_ address: UInt64, _ byteCount: Int, _ guestAddress: UInt64) {
        guard let file else { return }
        let hexadecimal = { (value: UInt64) in String(value, radix: 16) }
        fputs("\(hexadecimal(address)) \(hexadecimal(UInt64(byteCount))) guest_\(hexadecimal(guestAddress))\n", file)
        fflush(file)
    }
}
