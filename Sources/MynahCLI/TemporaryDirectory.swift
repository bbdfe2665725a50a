// A place for files that a command and its children exchange.

import Glibc

/// A directory of its owner's alone, below `$TMPDIR`, whose name nobody knows before (mkdtemp(3)).
struct TemporaryDirectory {
    /// Where commands put what is not kept.
    static var parent: String { Console.environmentVariable("TMPDIR") ?? "/tmp" }
    let path: String

    /// - Throws: `CommandFailure` when it cannot be made.
    init() throws {
        var template = Array("\(Self.parent)/mynah-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw CommandFailure(
                status: ExitStatus.failed,
                "cannot create a directory in '\(Self.parent)': \(String(cString: strerror(errno))); set TMPDIR")
        }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Removes it with the files in it.
    func remove() {
        for name in Files.names(in: path) { unlink(file(name)) }
        rmdir(path)
    }

    func file(_ name: String) -> String { path + "/" + name }
}
