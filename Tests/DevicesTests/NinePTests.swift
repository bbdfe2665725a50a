// The 9P server through its device: a client writes messages and reads replies. What matters most: nothing leads out of the
// directory.

import DeviceModel
import Devices
import Glibc
import TestSupport
import Testing

/// Field by field, as in the protocol's manual: size of the word, value.
private func words(_ list: (Int, UInt64)...) -> [UInt8] {
    list.flatMap { size, value in (0..<size).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) } }
}
private func text(_ string: String) -> [UInt8] { words((2, UInt64(string.utf8.count))) + Array(string.utf8) }

private final class NinePClient {
    let driver: VirtioDriver
    var device: VirtioFileShare { driver.mmio.device as! VirtioFileShare }
    init(_ path: String, identities: FileIdentities = .passthrough, isReadOnly: Bool = false, runsInline: Bool = false) throws {
        driver = VirtioDriver(
            try VirtioFileShare(path: path, tag: "share", identities: identities, isReadOnly: isReadOnly), runsInline: runsInline)
        driver.start()
        #expect(call(100, words((4, 65536)) + text("9P2000.L")) == words((4, 65536)) + text("9P2000.L"))
        #expect(call(104, words((4, 0), (4, 0xffff_ffff)) + text("root") + text("") + words((4, 7)))?.count == 13)
    }

    /// The reply's fields; nil for an error, which is in `lastError`.
    var lastError: Int32 = 0
    func call(_ type: UInt8, _ fields: [UInt8]) -> [UInt8]? {
        let request = words((4, UInt64(fields.count + 7)), (1, UInt64(type)), (2, 99)) + fields
        guard let (input, length) = driver.request(0, [request], [8192]), length >= 7 else { return nil }
        #expect(input[5] == 99 && Int(input[0]) | Int(input[1]) << 8 == length)
        lastError = input[4] == 7 ? Int32(input[7]) : 0
        #expect(lastError != 0 || input[4] == type + 1)
        return lastError == 0 ? Array(input[7..<length]) : nil
    }

    /// Walks from fid 0 to a new fid; true when all names were found.
    func walk(_ fid: UInt64, _ names: String...) -> Bool {
        _ = call(120, words((4, fid)))
        let reply = call(110, words((4, 0), (4, fid), (2, UInt64(names.count))) + names.flatMap(text))
        return reply.map { Int($0[0]) == names.count } ?? false
    }
    func open(_ fid: UInt64, _ flags: UInt64 = 0) -> Bool { call(12, words((4, fid), (4, flags))) != nil }
    func create(_ fid: UInt64, _ name: String, _ mode: UInt64 = 0o644) -> Bool {
        call(14, words((4, fid)) + text(name) + words((4, 2), (4, mode), (4, 8))) != nil
    }
    func read(_ fid: UInt64, _ offset: UInt64 = 0) -> String? {
        call(116, words((4, fid), (8, offset), (4, 4096))).map { String(decoding: $0[4...], as: UTF8.self) }
    }
    func write(_ fid: UInt64, _ content: String, _ offset: UInt64 = 0) -> Bool {
        call(118, words((4, fid), (8, offset), (4, UInt64(content.utf8.count))) + Array(content.utf8)) != nil
    }
    func attributes(_ fid: UInt64) -> (mode: UInt32, uid: UInt32, gid: UInt32, size: UInt64)? {
        guard let bytes = call(24, words((4, fid), (8, 0x7ff))) else { return nil }
        let word = { (place: Int, count: Int) in (0..<count).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64(bytes[place + $1]) }
        }
        return (UInt32(word(21, 4)), UInt32(word(25, 4)), UInt32(word(29, 4)), word(49, 8))
    }
}

@Suite(.serialized) struct NinePTests {
    let directory = TemporaryDirectory()
    var share: String { directory.file("share") }

    init() {
        mkdir(share, 0o755)
        mkdir(share + "/inner", 0o755)
        writeFile(share + "/file", Array("content".utf8))
        writeFile(directory.file("secret"), Array("secret".utf8))
        symlink("../secret", share + "/relative")
        symlink(directory.file("secret"), share + "/absolute")
        symlink("..", share + "/up")
        symlink("inner", share + "/inside")
    }

    @Test func filesAndDirectories() throws {
        let client = try NinePClient(share)
        #expect(
            client.walk(1, "file") && client.open(1) && client.read(1) == "content" && client.read(1, 4) == "ent"
                && client.read(1, 100) == "")
        #expect(client.attributes(1)!.size == 7)
        #expect(!client.walk(2, "none") && client.lastError == ENOENT)
        #expect(client.walk(2, "inner") && client.create(2, "new") && client.write(2, "hello") && client.write(2, "!!", 4))
        #expect(readFile(share + "/inner/new") == Array("hell!!".utf8))
        #expect(
            client.walk(3, "inner", "new")
                && client.call(
                    26,
                    words(
                        (4, 3), (4, 1 | 8 | 0x20 | 0x100), (4, 0o600), (4, 0), (4, 0), (8, 3), (8, 0), (8, 0), (8, 1000), (8, 5)))
                    != nil
        )
        #expect(client.attributes(3)!.mode == 0o100600 && client.attributes(3)!.size == 3)
        // mkdir, renameat (fids below follow), link, readlink, unlinkat, remove.
        #expect(client.call(72, words((4, 0)) + text("made") + words((4, 0o755), (4, 0))) != nil)
        #expect(client.call(74, words((4, 0)) + text("inner") + words((4, 0)) + text("outer")) != nil)
        #expect(client.attributes(3)!.size == 3 && client.walk(4, "outer", "new") && !client.walk(4, "inner"))
        #expect(client.call(70, words((4, 0), (4, 3)) + text("hard")) != nil && client.walk(5, "hard"))
        #expect(client.call(16, words((4, 0)) + text("link") + text("/etc/passwd") + words((4, 0))) != nil)
        #expect(
            client.walk(6, "link") && client.call(22, words((4, 6))) == text("/etc/passwd")
                && client.attributes(6)!.mode & 0o170000 == 0o120000)
        #expect(client.call(76, words((4, 0)) + text("made") + words((4, 0))) == nil && client.lastError == EISDIR)
        #expect(client.call(76, words((4, 0)) + text("made") + words((4, 0x200))) != nil)
        #expect(client.walk(7, "hard") && client.call(122, words((4, 7))) != nil && !client.walk(7, "hard"))
        #expect(client.call(8, words((4, 0)))?.count == 60)
        #expect(client.call(120, words((4, 77))) == nil && client.lastError == EBADF)
    }

    @Test func listing() throws {
        for index in 0..<300 { writeFile(share + "/inner/file\(index)", []) }
        let client = try NinePClient(share)
        #expect(client.walk(1, "inner") && client.open(1))
        var names: Set<String> = [], offset: UInt64 = 0
        while let reply = client.call(40, words((4, 1), (8, offset), (4, 2000))), reply.count > 4 {
            var place = 4
            while place < reply.count {
                offset = (0..<8).reversed().reduce(0) { $0 << 8 | UInt64(reply[place + 13 + $1]) }
                let count = Int(reply[place + 22]) | Int(reply[place + 23]) << 8
                names.insert(String(decoding: reply[(place + 24)..<(place + 24 + count)], as: UTF8.self))
                place += 24 + count
            }
        }
        #expect(names.count == 302 && names.contains(".") && names.contains("file299"))
    }

    @Test func nothingLeadsOut() throws {
        let client = try NinePClient(share)
        for names in [["..", "secret"], ["inner", "..", "..", "secret"], ["relative"], ["absolute"], ["up", "secret"], ["up"]] {
            let found =
                client.call(110, words((4, 0), (4, 50), (2, UInt64(names.count))) + names.flatMap(text)).map {
                    Int($0[0]) == names.count
                } ?? false
            // A link is walked to as itself, and can neither be opened nor walked through.
            if found {
                #expect(!client.open(50) && client.lastError == ENXIO, "\(names)")
                #expect(
                    client.call(26, words((4, 50), (4, 8), (4, 0), (4, 0), (4, 0), (8, 0), (8, 0), (8, 0), (8, 0), (8, 0))) == nil
                )
                #expect(
                    client.call(26, words((4, 50), (4, 1), (4, 0o777), (4, 0), (4, 0), (8, 0), (8, 0), (8, 0), (8, 0), (8, 0)))
                        == nil)
                _ = client.call(120, words((4, 50)))
            }
        }
        #expect(client.walk(1, "..") && client.attributes(1)!.mode == client.attributes(0)!.mode, "above the top is the top")
        for name in ["a/b", "../secret", "/etc/passwd", "..", ".", "", "x\0y", String(repeating: "n", count: 300)] {
            #expect(client.walk(9) && !client.create(9, name), "\(name)")
            #expect(client.call(72, words((4, 0)) + text(name) + words((4, 0o755), (4, 0))) == nil)
            #expect(client.call(76, words((4, 0)) + text(name) + words((4, 0))) == nil)
            #expect(client.call(74, words((4, 0)) + text("file") + words((4, 0)) + text(name)) == nil)
            #expect(client.call(16, words((4, 0)) + text(name) + text("x") + words((4, 0))) == nil)
            #expect(
                name == "" || name == "." || name == ".." || client.call(110, words((4, 0), (4, 51), (2, 1)) + text(name)) == nil)
            _ = client.call(120, words((4, 51)))
        }
        #expect(!client.walk(3, "up", "secret") && client.walk(3, "inside"))
        #expect(client.call(76, words((4, 3)) + text("x") + words((4, 0))) == nil, "not through a link to a directory either")
        // A directory that became a link while a fid names it.
        #expect(client.walk(4, "inner") && client.walk(5, "inner"))
        rename(share + "/inner", share + "/moved")
        symlink("..", share + "/inner")
        #expect(
            !client.create(4, "escaped") && client.call(72, words((4, 5)) + text("escaped") + words((4, 0o755), (4, 0))) == nil)
        #expect(access(directory.file("escaped"), F_OK) != 0 && readFile(directory.file("secret")) == Array("secret".utf8))
        #expect(client.call(40, words((4, 0), (8, 0), (4, 100))) == nil, "not open")
    }

    @Test func stateGoesOn() throws {
        let client = try NinePClient(share)
        #expect(client.walk(1, "file") && client.open(1, 2) && client.walk(2, "inner"))
        client.driver.mmio.transport.pause()
        let saved = client.device.state
        client.device.reset()
        client.driver.mmio.transport.resume()
        #expect(client.read(1) == nil && client.lastError == EBADF)
        client.device.state = saved
        #expect(
            client.read(1) == "content" && client.write(1, "C") && client.read(1) == "Content" && client.open(2)
                && client.device.state != saved)
    }

    @Test func readOnlyShares() throws {
        let client = try NinePClient(share, isReadOnly: true)
        #expect(
            client.walk(1, "file") && !client.open(1, 2) && client.lastError == EROFS && !client.open(1, 0o1000) && client.open(1)
        )
        #expect(!client.write(1, "x") && client.walk(2) && !client.create(2, "x"))
        #expect(client.call(72, words((4, 0)) + text("d") + words((4, 0), (4, 0))) == nil && client.lastError == EROFS)
        #expect(client.call(26, words((4, 1), (4, 1), (4, 0), (4, 0), (4, 0), (8, 0), (8, 0), (8, 0), (8, 0), (8, 0))) == nil)
        #expect(readFile(share + "/file") == Array("content".utf8))
    }

    @Test func mappedIdentities() throws {
        guard run("setfattr", "-n", "user.test", "-v", "1", share + "/file").map({ $0.status == 0 }) ?? true else { return }
        let client = try NinePClient(share, identities: .mapped)
        #expect(client.walk(1) && client.create(1, "mine", 0o4750))
        guard client.lastError != EOPNOTSUPP else { return }  // a file system without extended attributes
        #expect(client.attributes(1)! == (0o104750, 7, 8, 0))
        var status = stat()
        #expect(stat(share + "/mine", &status) == 0 && status.st_mode & 0o7777 == 0o600)
        #expect(client.call(18, words((4, 0)) + text("device") + words((4, 0o20666), (4, 5), (4, 1), (4, 0))) != nil)
        #expect(client.walk(2, "device") && client.attributes(2)!.mode == 0o20666)
        #expect(lstat(share + "/device", &status) == 0 && status.st_mode & S_IFMT == S_IFREG)
        #expect(client.call(16, words((4, 0)) + text("link") + text("/anywhere") + words((4, 0))) != nil)
        #expect(client.walk(3, "link") && client.call(22, words((4, 3))) == text("/anywhere"))
        #expect(client.call(30, words((4, 1), (4, 8)) + text("user.virtfs.uid")) == nil && client.lastError == ENODATA)
        // An attribute of the guest's own: create, write, clunk; then walk and read.
        #expect(client.walk(4, "mine") && client.call(32, words((4, 4)) + text("user.mine") + words((8, 5), (4, 0))) != nil)
        #expect(client.write(4, "value") && client.call(120, words((4, 4))) != nil)
        #expect(client.call(30, words((4, 1), (4, 5)) + text("user.mine")) == words((8, 5)) && client.read(5) == "value")
        #expect(client.call(30, words((4, 1), (4, 6)) + text("")) == words((8, 10)) && client.read(6) == "user.mine\0")
    }

    /// A guest that forgets its fids does not fill the host's memory.
    @Test func attributesHaveALimit() throws {
        let client = try NinePClient(share, runsInline: true)
        var count: UInt64 = 0
        while count < 3000, client.call(30, words((4, 0), (4, 100 + count)) + text("")) != nil { count += 1 }
        #expect(count == 1024 && client.lastError == EMFILE)
        #expect(client.call(120, words((4, 100))) != nil && client.call(30, words((4, 0), (4, 100)) + text("")) != nil)
    }

    @Test func damagedMessages() throws {
        let client = try NinePClient(share, runsInline: true)
        var random = SplitMix(seed: UInt64(setting("MYNAH_FUZZ_SEED", 31)))
        for _ in 0..<setting("MYNAH_DEVICE_OPERATIONS", 5000) {
            let type = [
                8, 12, 14, 16, 18, 20, 22, 24, 26, 30, 32, 40, 50, 52, 54, 70, 72, 74, 76, 100, 102, 104, 108, 110, 116, 118, 120,
                122,
            ][random.below(28)]
            var fields: [UInt8] = []
            for _ in 0..<random.below(8) {
                switch random.below(4) {
                case 0: fields += words((4, UInt64(random.below(6))))
                case 1: fields += text(["file", "inner", "..", "relative", "x", "up", "../secret", "absolute"][random.below(8)])
                case 2: fields += random.bytes(random.below(9))
                default: fields += words((8, random.next() >> UInt64(random.below(64))))
                }
            }
            _ = client.driver.request(0, [words((4, UInt64(fields.count + 7)), (1, UInt64(type)), (2, 1)) + fields], [4096])
        }
        #expect(!client.driver.needsReset)
        #expect(readFile(directory.file("secret")) == Array("secret".utf8))
        #expect(client.driver.request(0, [[1, 2, 3]], [4096]) == nil && client.driver.needsReset)
    }
}
