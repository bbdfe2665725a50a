// Which host file a guest's path names: with a sysroot, an absolute path means the file of that name in the sysroot when
// there is one, otherwise the host's (so new files are made on the host, as with qemu's -L). Programs learn where the sysroot is
// on the host, from /proc/self/exe above all: such a path means the same file as without the sysroot's name in front.
//
// Links inside the sysroot are followed inside it: its absolute links must not lead to files of the host's instruction set.

import CHost
import Glibc

/// Maps absolute guest paths to host paths.
package struct PathResolver {
    /// The sysroot without a trailing slash; nil for none.
    package let sysroot: String?
    /// Its absolute path without links, and a slash behind; empty for none.
    private let realSysroot: String
    private let sysrootDescriptor: Int32
    /// O_PATH, which Glibc's module does not have.
    private static let pathOnly: Int32 = 0o10000000

    /// Names that always mean the host's: kernel file systems, and directories that programs write to.
    private static let hostTrees = ["/proc", "/sys", "/dev"]
    private static let hostDirectories: Set<String> = ["/", "/tmp", "/var/tmp", "/home", "/root", "/run", "/mnt"]

    package init(sysroot: String?) {
        var root = sysroot
        while let text = root, text.count > 1, text.hasSuffix("/") { root = String(text.dropLast()) }
        if root == "/" || root == "" { root = nil }
        self.sysroot = root
        sysrootDescriptor = root.map { PathResolver.openRoot($0) } ?? -1
        realSysroot = root.flatMap { realpath($0, nil) }.map { pointer in
            defer { free(pointer) }
            return String(cString: pointer) + "/"
        } ?? ""
    }

    /// The descriptor that the guest must not close; -1 for none.
    package var internalDescriptor: Int32 { sysrootDescriptor }

    private static func openRoot(_ path: String) -> Int32 {
        let opened = open(path, pathOnly | O_DIRECTORY | O_CLOEXEC)
        guard opened >= 0 else { return -1 }
        let high = fcntl(opened, F_DUPFD_CLOEXEC, 900)
        guard high >= 0 else { return opened }
        close(opened)
        return high
    }

    /// The host path of an absolute guest path, or nil when it is the same. `following` the last component's link or not.
    package func hostPath(of path: String, following: Bool = true) -> String? {
        guard sysroot != nil, let inside = pathInRoot(of: path) else { return nil }
        if following, let real = resolveInRoot(inside) { return real == path ? nil : real }
        // The name itself is there: a link for a call that does not follow, or one that leads nowhere inside the sysroot.
        guard let slash = inside.lastIndex(of: "/"),
            let directory = resolveInRoot(slash == inside.startIndex ? "/" : String(inside[..<slash]))
        else { return nil }
        let candidate = directory + inside[slash...]
        return candidate != path && faccessat(AT_FDCWD, candidate, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? candidate : nil
    }

    /// The path to look for with the sysroot as the root; nil when the host's own is meant.
    private func pathInRoot(of path: String) -> String? {
        guard path.utf8.first == UInt8(ascii: "/") else { return nil }
        if !realSysroot.isEmpty && path.hasPrefix(realSysroot) {
            let inside = "/" + path.dropFirst(realSysroot.count)
            // Its own `..` may lead out again.
            return inside.contains("/../") || inside.hasSuffix("/..") ? nil : inside
        }
        let plain = Self.isPlain(path) ? path : Self.plain(path)
        if Self.hostDirectories.contains(plain) { return nil }
        for tree in Self.hostTrees where plain.hasPrefix(tree) {
            if plain.utf8.count == tree.utf8.count || plain.utf8.dropFirst(tree.utf8.count).first == UInt8(ascii: "/") {
                return nil
            }
        }
        return path
    }

    /// Whether there is nothing to be left out of a path; false for some of those, too.
    private static func isPlain(_ path: String) -> Bool {
        var previous = UInt8(ascii: "a")
        for byte in path.utf8 {
            if previous == UInt8(ascii: "/") && (byte == UInt8(ascii: "/") || byte == UInt8(ascii: ".")) { return false }
            previous = byte
        }
        return previous != UInt8(ascii: "/") || path.utf8.count == 1
    }

    /// Without doubled slashes, a slash at the end, dots, and what leads above the root.
    private static func plain(_ path: String) -> String {
        let parts = path.split(separator: "/").filter { $0 != "." }.drop { $0 == ".." }
        return "/" + parts.joined(separator: "/")
    }

    /// The path of the file that `path` names when the sysroot is the root.
    private func resolveInRoot(_ path: String) -> String? {
        guard sysrootDescriptor >= 0 else { return nil }
        // struct open_how: flags, mode, resolve (RESOLVE_IN_ROOT).
        var how: (UInt64, UInt64, UInt64) = (UInt64(Self.pathOnly | O_CLOEXEC), 0, 0x10)
        let descriptor = path.withCString { name in
            withUnsafeMutablePointer(to: &how) {
                mynah_syscall(437, Int(sysrootDescriptor), Int(bitPattern: name), Int(bitPattern: $0), 24, 0, 0)
            }
        }
        guard descriptor >= 0 else { return nil }
        defer { close(Int32(descriptor)) }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
            let count = readlink("/proc/self/fd/\(descriptor)", buffer.baseAddress!, 4096)
            guard count > 0 else { return nil }
            return String(decoding: UnsafeRawBufferPointer(start: buffer.baseAddress!, count: count), as: UTF8.self)
        }
    }
}

extension LinuxThread {
    /// Calls `body` with the address of the host path for the guest's path at `address`: the same address unless the
    /// sysroot has the file. A bad pointer is left for the kernel to refuse.
    func withPath(_ address: UInt64, following: Bool = true, _ body: (UInt64) -> Int64) -> Int64 {
        guard process.paths.sysroot != nil, let path = readGuestString(at: address),
            let hostPath = process.paths.hostPath(of: path, following: following)
        else { return body(address) }
        return hostPath.withCString { body(UInt64(UInt(bitPattern: $0))) }
    }
}
