import Glibc
import Testing

@testable import LinuxUser

/// The sysroot and the guest's own /proc.
@Suite struct SystemCallPathTests {
    /// A sysroot with /usr/lib/real, /usr/link -> /usr/lib/real and /lib -> /usr/lib (absolute), /tmp and a link that leads
    /// nowhere.
    private func withSysroot(_ body: (String) -> Void) {
        var template = Array("/tmp/mynah-sysroot-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) != nil }
        #expect(made)
        let root = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        for directory in ["/usr", "/usr/lib", "/tmp", "/proc"] { mkdir(root + directory, 0o755) }
        close(open(root + "/usr/lib/real", O_CREAT | O_WRONLY, 0o644))
        symlink("/usr/lib/real", root + "/usr/link")
        symlink("/usr/lib", root + "/lib")
        symlink("/nowhere-at-all", root + "/usr/dangling")
        defer {
            for file in ["/usr/lib/real", "/usr/link", "/usr/dangling", "/lib"] { unlink(root + file) }
            for directory in ["/usr/lib", "/usr", "/tmp", "/proc", ""] { rmdir(root + directory) }
        }
        body(root)
    }

    @Test func sysroot() {
        withSysroot { root in
            let resolver = PathResolver(sysroot: root + "/")
            #expect(resolver.hostPath(of: "/usr/lib/real") == root + "/usr/lib/real")
            // An absolute link stays inside.
            #expect(resolver.hostPath(of: "/usr/link") == root + "/usr/lib/real")
            #expect(resolver.hostPath(of: "/usr/link", following: false) == root + "/usr/link")
            #expect(resolver.hostPath(of: "/usr/dangling") == root + "/usr/dangling")
            #expect(resolver.hostPath(of: "/lib/real", following: false) == root + "/usr/lib/real")
            // What is not there, relative, or always the host's.
            #expect(resolver.hostPath(of: "/usr/lib/absent") == nil)
            #expect(resolver.hostPath(of: "usr/lib/real") == nil)
            for path in [
                "/", "/..", "/.", "/tmp", "/tmp/", "//tmp", "/./tmp/.", "/../tmp", "/proc", "//proc/", "/../proc/../proc",
            ] {
                #expect(resolver.hostPath(of: path) == nil, "\(path)")
            }
            #expect(resolver.hostPath(of: "//usr/./lib/real") == root + "/usr/lib/real")
        }
    }

    /// What a program finds out of its own place on the host: the links on the way are the guest's there, too.
    @Test func pathsOfTheHostIntoTheSysroot() {
        withSysroot { root in
            let resolver = PathResolver(sysroot: root)
            #expect(resolver.hostPath(of: root + "/usr/link") == root + "/usr/lib/real")
            #expect(resolver.hostPath(of: root + "/lib/real", following: false) == root + "/usr/lib/real")
            for path in ["/usr/lib/real", "/usr/dangling", "/usr/absent", "", "/../etc/passwd", "/usr/..", "-other/usr/link"] {
                #expect(resolver.hostPath(of: root + path) == nil, "\(path)")
            }
            #expect(resolver.hostPath(of: root + "/usr/link", following: false) == nil)
        }
    }

    @Test func noSysroot() {
        #expect(PathResolver(sysroot: nil).hostPath(of: "/etc/passwd") == nil)
        #expect(PathResolver(sysroot: "/").sysroot == nil)
    }

    @Test func views() {
        #expect(ProcView(path: "/proc/self/exe", process: 7)?.kind == .executable)
        #expect(ProcView(path: "/proc/7/maps", process: 7)?.kind == .maps)
        #expect(ProcView(path: "/proc/8/maps", process: 7) == nil)
        #expect(ProcView(path: "//proc//self/./cmdline", process: 7)?.kind == .commandLine)
        #expect(ProcView(path: "/proc/thread-self/auxv", process: 7)?.kind == .auxiliaryVector)
        #expect(ProcView(path: "/proc/self/task/9/stat", process: 7)?.kind == .status)
        #expect(ProcView(path: "/proc/cpuinfo", process: 7)?.kind == .processors)
        #expect(ProcView(path: "/proc/self/fd/1", process: 7) == nil)
        #expect(ProcView(path: "/proc/self", process: 7) == nil)
        #expect(ProcView(path: "/etc/passwd", process: 7) == nil)
    }

    @Test func processors() {
        let text = ProcView.processors
        #expect(text.hasPrefix("processor\t: 0\nhart\t\t: 0\nisa\t\t: rv64imafdc_"))
        #expect(text.contains("mmu\t\t: sv39\n"))
    }

    /// One host mapping of a file with two guest protections becomes two lines; anonymous memory gets the guest's names.
    @Test func mappings() {
        let host = """
            10000-14000 r--p 00002000 08:01 77                         /bin/prog
            20000-22000 rw-p 00000000 00:00 0                          [heap]
            7f0000000000-7f0000001000 r-xp 00000000 08:01 5            /usr/bin/mynah

            """
        let regions = [
            MappingRegion(range: 0x10000..<0x11000, protection: 1), MappingRegion(range: 0x11000..<0x14000, protection: 5),
            MappingRegion(range: 0x20000..<0x22000, protection: 3),
        ]
        let lines = ProcMappings.text(regions: regions, hostMaps: host, named: [("[stack]", 0x21000)])
            .split(separator: "\n").map { $0.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ") }
        #expect(lines == [
            "00010000-00011000 r--p 00002000 08:01 77 /bin/prog", "00011000-00014000 r-xp 00003000 08:01 77 /bin/prog",
            "00020000-00022000 rw-p 00000000 00:00 0 [stack]",
        ])
    }
}
