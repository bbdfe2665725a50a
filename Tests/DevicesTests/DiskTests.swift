// Disk images against a model (an array of bytes), and against qemu-img where that is installed.

import DeviceModel
import Devices
import Glibc
import TestSupport
import Testing

extension BlockBackend {
    func read(_ offset: UInt64, _ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0xaa, count: count), isGood = true
        bytes.withUnsafeMutableBytes { do { try read(at: offset, into: $0) } catch { isGood = false } }
        return isGood ? bytes : nil
    }
    func write(_ offset: UInt64, _ bytes: [UInt8]) throws {
        var failure: Error?
        bytes.withUnsafeBytes { do { try write(at: offset, from: $0) } catch { failure = error } }
        if let failure { throw failure }
    }
}

/// Megabytes are compared apart from #expect, which would print them.
private func same(_ left: [UInt8]?, _ right: [UInt8]) -> Bool {
    guard let left, left.count == right.count else { return false }
    return memcmp(left, right, right.count) == 0
}

@Suite(.serialized) struct DiskTests {
    let directory = TemporaryDirectory()

    private func hasQemu() -> Bool { run("qemu-img", "--version") != nil }

    private func expectClean(_ path: String, _ comment: Comment? = nil) {
        guard let result = run("qemu-img", "check", path) else { return }
        #expect(result.status == 0, "\(comment?.rawValue ?? "") \(String(decoding: result.output, as: UTF8.self))")
    }

    /// Random requests, compared with an array; returns the array.
    private func exercise(_ disk: BlockBackend, _ model: inout [UInt8], seed: UInt64, count: Int, isSparse: Bool = false) throws {
        var random = SplitMix(seed: seed)
        for step in 0..<count {
            let offset = random.below(model.count),
                length = min(model.count - offset, 1 + random.below(random.below(4) == 0 ? 200_000 : 3000))
            let aligned = offset & ~511, alignedLength = (length + 511) & ~511 > model.count - aligned ? 0 : (length + 511) & ~511
            switch random.below(10) {
            case 0...3:
                let bytes = random.bytes(length)
                try disk.write(UInt64(offset), bytes)
                model.replaceSubrange(offset..<offset + length, with: bytes)
            case 4:
                try disk.writeZeroes(at: UInt64(aligned), byteCount: UInt64(alignedLength), mayDiscard: random.below(2) == 0)
                model.replaceSubrange(aligned..<aligned + alignedLength, with: repeatElement(0, count: alignedLength))
            case 5 where !isSparse:
                try disk.discard(at: UInt64(aligned), byteCount: UInt64(alignedLength))
                // Whole clusters read as zeroes, others stay: so look what it is now.
                let now = disk.read(UInt64(aligned), alignedLength)!
                #expect(zip(now, model[aligned..<aligned + alignedLength]).allSatisfy { $0 == $1 || $0 == 0 })
                model.replaceSubrange(aligned..<aligned + alignedLength, with: now)
            case 6: try disk.flush()
            default:
                #expect(
                    same(disk.read(UInt64(offset), length), Array(model[offset..<offset + length])), "seed \(seed), step \(step)")
            }
        }
        #expect(same(disk.read(0, model.count), model), "seed \(seed)")
    }

    @Test func raw() throws {
        let path = directory.file("raw")
        writeFile(path, [UInt8](repeating: 0, count: 300_000))
        let disk = try DiskImage.open(path, format: .raw)
        var model = [UInt8](repeating: 0, count: 300_000)
        try exercise(disk, &model, seed: 1, count: 200)
        disk.close()
        #expect(same(readFile(path), model))
    }

    @Test func snapshotKeepsTheBase() throws {
        let path = directory.file("base"), content = (0..<200_001).map { UInt8(truncatingIfNeeded: $0 / 7) }
        writeFile(path, content)
        let disk = try DiskImage.open(path, format: .raw, isSnapshot: true)
        var model = content
        try exercise(disk, &model, seed: 2, count: 200)
        #expect(!same(model, content) && same(readFile(path), content))
    }

    @Test(arguments: [(9, 4), (9, 6), (12, 4), (16, 0), (16, 4), (16, 3), (12, 1), (21, 4)] as [(UInt32, UInt32)])
    func qcow2(clusterBits: UInt32, refcountOrder: UInt32) throws {
        let path = directory.file("image"), size = 600_064  // qemu-img rounds to sectors
        try DiskImage.createQcow2(path, byteCount: UInt64(size), clusterBits: clusterBits, refcountOrder: refcountOrder)
        expectClean(path, "new")
        var model = [UInt8](repeating: 0, count: size)
        for seed in 1...2 {
            let disk = try DiskImage.open(path)
            #expect(disk.byteCount == UInt64(size) && same(disk.read(0, size), model))
            try exercise(disk, &model, seed: UInt64(seed) * 100 + UInt64(clusterBits), count: 80)
            disk.close()
            expectClean(path, "clusters of \(1 << clusterBits), counters of \(1 << refcountOrder)")
        }
        if run("qemu-img", "convert", "-O", "raw", path, directory.file("raw")) != nil {
            #expect(same(readFile(directory.file("raw")), model))
        }
    }

    /// Small clusters and counters of 64 bits: the table of refcounts has to move.
    @Test func refcountTableGrows() throws {
        let path = directory.file("grows"), size: UInt64 = 4 << 20
        try DiskImage.createQcow2(path, byteCount: size, clusterBits: 9, refcountOrder: 6)
        let disk = try DiskImage.open(path)
        let block = (0..<65536).map { UInt8(truncatingIfNeeded: $0 * 31 >> 3) }
        for offset in stride(from: 0, to: size, by: block.count) { try disk.write(offset, block) }
        disk.close()
        expectClean(path)
        let again = try DiskImage.open(path, isReadOnly: true)
        for offset in stride(from: 0, to: size, by: block.count) { #expect(same(again.read(offset, block.count), block)) }
    }

    @Test func backingFiles() throws {
        let base = directory.file("base.raw"), middle = directory.file("middle.qcow2"), top = directory.file("top.qcow2")
        var random = SplitMix(seed: 5)
        let content = random.bytes(700_000)
        writeFile(base, content)
        try DiskImage.createQcow2(middle, byteCount: 1_000_448, backing: ("base.raw", .raw))
        var model = content + [UInt8](repeating: 0, count: 300_448)
        var disk = try DiskImage.open(middle)
        try exercise(disk, &model, seed: 6, count: 100)
        disk.close()
        try DiskImage.createQcow2(top, byteCount: 1_000_448, clusterBits: 12, backing: (middle, .qcow2))
        let before = readFile(middle)
        disk = try DiskImage.open(top)
        #expect(same(disk.read(0, model.count), model))
        try exercise(disk, &model, seed: 7, count: 200)
        disk.close()
        expectClean(middle)
        expectClean(top)
        #expect(same(readFile(middle), before) && same(readFile(base), content))
        if run("qemu-img", "convert", "-O", "raw", top, directory.file("raw")) != nil {
            #expect(same(readFile(directory.file("raw")), model))
        }
    }

    /// Images that qemu-img made: compressed clusters, internal snapshots, version 2, other widths.
    @Test(arguments: ["compressed", "snapshot", "version2", "preallocated"]) func imagesOfQemu(kind: String) throws {
        guard hasQemu() else { return }
        let raw = directory.file("raw"), path = directory.file("image")
        var random = SplitMix(seed: 11)
        var model = (0..<1_000_448).map { UInt8(truncatingIfNeeded: $0 / 100) }
        model.replaceSubrange(300_000..<400_000, with: random.bytes(100_000))
        writeFile(raw, model)
        switch kind {
        case "compressed": _ = run("qemu-img", "convert", "-c", "-O", "qcow2", raw, path)
        case "version2": _ = run("qemu-img", "convert", "-O", "qcow2", "-o", "compat=0.10", raw, path)
        case "preallocated":
            _ = run("qemu-img", "create", "-f", "qcow2", "-o", "preallocation=metadata", path, "1000448")
            model = [UInt8](repeating: 0, count: model.count)
        default:
            _ = run("qemu-img", "convert", "-O", "qcow2", raw, path)
            #expect(run("qemu-img", "snapshot", "-c", "before", path)?.status == 0)
        }
        let original = model
        let disk = try DiskImage.open(path)
        #expect(same(disk.read(0, model.count), model))
        try exercise(disk, &model, seed: 12, count: 200)
        disk.close()
        expectClean(path, "\(kind)")
        #expect(run("qemu-img", "convert", "-O", "raw", path, raw)?.status == 0)
        #expect(same(readFile(raw), model))
        if kind == "snapshot" {
            #expect(run("qemu-img", "snapshot", "-a", "before", path)?.status == 0)
            #expect(run("qemu-img", "convert", "-O", "raw", path, raw)?.status == 0)
            #expect(same(readFile(raw), original))
        }
    }

    /// A compressed cluster of our own making, as one stored block, where no qemu-img is.
    @Test func compressedCluster() throws {
        let path = directory.file("image")
        try DiskImage.createQcow2(path, byteCount: 65536 * 4, clusterBits: 9, refcountOrder: 4)
        let content = (0..<512).map { UInt8(truncatingIfNeeded: $0 * 3) }
        let disk = try DiskImage.open(path)
        try disk.write(1024, [UInt8](repeating: 1, count: 2048))  // four clusters in a row
        disk.close()
        var image = readFile(path)
        let word = { (offset: Int) in (0..<8).reduce(UInt64(0)) { $0 << 8 | UInt64(image[offset + $1]) } }
        let l1 = Int(word(40)), l2 = Int(word(l1) & 0x00ff_ffff_ffff_fe00)
        let host = Int(word(l2 + 3 * 8) & 0x00ff_ffff_ffff_fe00)
        // Deflate: last block, stored, length and its complement, in two sectors that were those of guest clusters 3 and 4.
        let packed: [UInt8] = [1, 0, 2, 0xff, 0xfd] + content
        image.replaceSubrange(host..<host + packed.count, with: packed)
        let entry = 1 << 62 | UInt64(1) << 61 | UInt64(host)
        for (guest, value) in [(3, entry), (4, 0)] {
            for byte in 0..<8 { image[l2 + guest * 8 + byte] = UInt8(truncatingIfNeeded: value >> UInt64(56 - 8 * byte)) }
        }
        writeFile(path, image)
        expectClean(path, "made by hand")
        let again = try DiskImage.open(path)
        #expect(again.read(1536, 512) == content && again.read(2048, 512) == [UInt8](repeating: 0, count: 512))
        try again.write(1542, [9])
        #expect(again.read(1540, 4) == [content[4], content[5], 9, content[7]])
        again.close()
        expectClean(path, "overwritten")
    }

    @Test func whatCannotBeUsedIsSaid() throws {
        let path = directory.file("x"), other = directory.file("y")
        #expect(throws: BackendError.self) { try DiskImage.open(path) }
        try DiskImage.createQcow2(path, byteCount: 1 << 20)
        let image = readFile(path)
        let first = try DiskImage.open(path)
        #expect(throws: BackendError.self, "in use") { try DiskImage.open(path) }
        first.close()
        for (offset, value) in [
            (7, 4), (35, 1), (79, 4), (79, 16), (79, 32), (79, 1), (23, 8), (23, 22), (99, 7), (47, 3), (24, 0x70),
        ] as [(Int, UInt8)] {
            var bytes = image
            bytes[offset] = value
            writeFile(other, bytes)
            #expect(throws: BackendError.self, "byte \(offset)") { try DiskImage.open(other) }
        }
        let loop = directory.file("loop")
        try DiskImage.createQcow2(loop, byteCount: 1 << 20, backing: ("loop", .qcow2))
        #expect(throws: BackendError.self) { try DiskImage.open(loop, isReadOnly: true) }
        #expect(throws: BackendError.self) { try DiskImage.open("/dev/null") }
    }

    /// What was cut off reads as an error, and not as zeroes.
    @Test func imagesThatAreCutOff() throws {
        let path = directory.file("whole"), cut = directory.file("cut"), byteCount = 300_000
        try DiskImage.createQcow2(path, byteCount: UInt64(byteCount), clusterBits: 9)
        let disk = try DiskImage.open(path), model = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 / 512 + 1) | 1 }
        try disk.write(0, model)
        disk.close()
        let image = readFile(path)
        var refused = 0, failed = 0
        for size in stride(from: 0, to: image.count - 511, by: 512 * 7) {
            writeFile(cut, Array(image.prefix(size)))
            guard let disk = try? DiskImage.open(cut, format: .qcow2, isReadOnly: true) else {
                refused += 1
                continue
            }
            for offset in stride(from: 0, to: byteCount - 511, by: 512) {
                let content = disk.read(UInt64(offset), 512)
                if content == nil { failed += 1 } else if !same(content, Array(model[offset..<offset + 512])) {
                    Issue.record("\(size) of \(image.count) bytes: other content at \(offset)")
                    break
                }
            }
            disk.close()
        }
        #expect(refused > 0 && failed > 1000)
    }

    /// Clusters of the image's own tables that seem to be free would be given to the guest.
    @Test func tablesThatNobodyCounts() throws {
        let path = directory.file("counts")
        for cluster in 0..<4 {
            try DiskImage.createQcow2(path, byteCount: 400_000, clusterBits: 16)
            var bytes = readFile(path)
            // The block of counters, 16 bits each, is the third cluster; itself it is found through the table alone.
            bytes[2 * 65536 + cluster * 2 + 1] = 0
            writeFile(path, bytes)
            if cluster == 2 { continue }
            #expect(throws: BackendError.self) { try DiskImage.open(path) }
            #expect(throws: Never.self) { try DiskImage.open(path, isReadOnly: true).close() }
        }
    }

    /// An image of a few megabytes may say that its disk has an exabyte.
    @Test func aSnapshotOfAnEnormousDisk() throws {
        let path = directory.file("enormous"), l1Offset = 3 << 21, l1Count = 1 << 21
        try DiskImage.createQcow2(path, byteCount: 1 << 49, clusterBits: 21)
        var bytes = readFile(path)
        bytes.replaceSubrange(24..<32, with: [0x10, 0, 0, 0, 0, 0, 0, 0])
        bytes.replaceSubrange(36..<40, with: [0, 0x20, 0, 0])
        writeFile(path, bytes)
        #expect(truncate(path, off_t(l1Offset + l1Count * 8)) == 0)
        let disk = try DiskImage.open(path, isSnapshot: true)
        #expect(disk.byteCount == 1 << 60 && disk.read(1 << 59, 100) == [UInt8](repeating: 0, count: 100))
        try disk.write(1 << 30, [1, 2, 3])
        #expect(disk.read(1 << 30, 4) == [1, 2, 3, 0] && (disk as? SnapshotDisk)?.writtenClusters == [1 << 14])
        disk.close()
    }

    @Test func aPipeIsNoImage() throws {
        let path = directory.file("pipe")
        #expect(mkfifo(path, 0o600) == 0)
        for isReadOnly in [false, true] {
            #expect(throws: BackendError("\(path) is neither a file nor a block device, so it cannot be a disk image")) {
                try DiskImage.open(path, isReadOnly: isReadOnly)
            }
        }
    }

    /// Damaged images give errors or other content, never a crash; and a sound base is not touched.
    @Test func damagedImages() throws {
        let path = directory.file("image"), damaged = directory.file("damaged")
        try DiskImage.createQcow2(path, byteCount: 400_000, clusterBits: 9)
        let disk = try DiskImage.open(path)
        var model = [UInt8](repeating: 0, count: 400_000)
        try exercise(disk, &model, seed: 20, count: 60)
        disk.close()
        let image = readFile(path)
        var random = SplitMix(seed: UInt64(setting("MYNAH_FUZZ_SEED", 21))), opened = 0
        for _ in 0..<setting("MYNAH_DEVICE_IMAGES", 150) {
            var bytes = image
            for _ in 0...random.below(6) {
                let place =
                    random.below(3) == 0
                    ? random.below(112) : random.below(3) == 0 ? random.below(bytes.count) : random.below(8192)
                bytes[place] = random.below(2) == 0 ? UInt8(truncatingIfNeeded: random.next()) : 0xff
            }
            writeFile(damaged, bytes)
            guard let disk = try? DiskImage.open(damaged, format: .qcow2) else { continue }
            opened += 1
            for _ in 0..<20 where disk.byteCount > 4096 {
                let offset = random.next() % (disk.byteCount - 4096)
                if random.below(2) == 0 { _ = disk.read(offset, 4096) } else { try? disk.write(offset, random.bytes(2000)) }
            }
            disk.close()
            // Where the host has sparse files, damage may make an enormous one.
            if byteCount(of: damaged) > 1 << 40 { break }
        }
        #expect(opened > 20)
    }

    private func byteCount(of path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }
}

@Suite struct VirtioBlockTests {
    final class FakeDisk: BlockBackend {
        let monitor = Monitor()
        var content = [UInt8](repeating: 0, count: 1 << 20)
        var isReadOnly = false, fails = false, flushes = 0
        var discarded: [UInt64] = []
        var byteCount: UInt64 { UInt64(content.count) }
        private func check() throws(BackendError) { if fails { throw BackendError("broken") } }
        func read(at offset: UInt64, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError) {
            try check()
            bytes.copyBytes(from: content[Int(offset)..<Int(offset) + bytes.count])
        }
        func write(at offset: UInt64, from bytes: UnsafeRawBufferPointer) throws(BackendError) {
            try check()
            content.replaceSubrange(Int(offset)..<Int(offset) + bytes.count, with: bytes)
        }
        func flush() throws(BackendError) {
            try check()
            flushes += 1
        }
        func discard(at offset: UInt64, byteCount: UInt64) throws(BackendError) { discarded += [offset, byteCount] }
        func writeZeroes(at offset: UInt64, byteCount: UInt64, mayDiscard: Bool) throws(BackendError) {
            discarded += [offset, byteCount, mayDiscard ? 1 : 0]
        }
        func close() {}
    }

    private func header(_ type: UInt32, _ sector: UInt64) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: type >> (8 * $0)) } + [0, 0, 0, 0]
            + (0..<8).map { UInt8(truncatingIfNeeded: sector >> (8 * $0)) }
    }

    private func range(_ sector: UInt64, _ count: UInt32, _ flags: UInt8 = 0) -> [UInt8] {
        Array(header(0, sector)[8...]) + (0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } + [flags, 0, 0, 0]
    }

    @Test func requests() {
        let disk = FakeDisk(), driver = VirtioDriver(VirtioBlock(backend: disk, identifier: "a serial number that is long"))
        driver.start()
        #expect(driver.mmio.read(0x100, byteCount: 8) == 2048)
        let data = (0..<1024).map { UInt8(truncatingIfNeeded: $0 * 7) }
        #expect(driver.request(0, [header(1, 3), data], [1])?.input == [0])
        #expect(Array(disk.content[1536..<2560]) == data)
        let reply = driver.request(0, [header(0, 3)], [100, 924, 1], indirect: true)
        #expect(reply?.input == data + [0] && reply?.length == 1025)
        #expect(
            driver.request(0, [Array(header(0, 4).prefix(10)), Array(header(0, 4).suffix(6))], [513])?.input == Array(
                data[512...]) + [0])
        #expect(driver.request(0, [header(4, 0)], [1])?.input == [0] && disk.flushes == 1)
        #expect(driver.request(0, [header(8, 0)], [20, 1])?.input == Array("a serial number that".utf8) + [0])
        #expect(driver.request(0, [header(99, 0)], [1])?.input == [2])
        #expect(driver.request(0, [header(0, 2047)], [1024, 1])?.input.last == 1, "behind the end")
        #expect(driver.request(0, [header(0, .max)], [512, 1])?.input.last == 1)
        #expect(driver.request(0, [header(0, 0)], [100, 1])?.input.last == 1, "no whole sector")
        #expect(driver.request(0, [header(11, 0), range(2, 4)], [1])?.input == [0] && disk.discarded == [1024, 2048])
        #expect(
            driver.request(0, [header(13, 0), range(2, 4, 1)], [1])?.input == [0] && disk.discarded.suffix(3) == [1024, 2048, 1])
        #expect(driver.request(0, [header(11, 0), range(2, 4, 1)], [1])?.input == [2])
        #expect(driver.request(0, [header(11, 0), range(2047, 2)], [1])?.input == [1])
        disk.fails = true
        #expect(driver.request(0, [header(1, 3), data], [1])?.input == [1])
        #expect(!driver.needsReset)
        #expect(driver.request(0, [[1, 2, 3]], [1]) == nil && driver.needsReset, "no header")
        driver.start()
        #expect(driver.request(0, [header(0, 0)], []) == nil && driver.needsReset, "no status")
    }

    @Test func readOnlyAndWriteThrough() {
        let disk = FakeDisk()
        let driver = VirtioDriver(VirtioBlock(backend: disk))
        driver.start(wanting: ~(1 << 9))
        #expect(driver.request(0, [header(1, 0), [UInt8](repeating: 5, count: 512)], [1])?.input == [0] && disk.flushes == 1)
        driver.start()
        driver.mmio.write8(0x120, 0)
        #expect(driver.request(0, [header(1, 0), [UInt8](repeating: 5, count: 512)], [1])?.input == [0] && disk.flushes == 2)
        disk.isReadOnly = true
        let other = VirtioDriver(VirtioBlock(backend: disk))
        other.start()
        #expect(other.features & 1 << 5 != 0 && other.features & 1 << 13 == 0)
        #expect(other.request(0, [header(1, 0), [UInt8](repeating: 5, count: 512)], [1])?.input == [1])
    }
}
