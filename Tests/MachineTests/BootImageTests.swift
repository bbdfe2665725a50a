// Kernels and firmware as files: good ones, wrong ones with their messages, and thousands of damaged ones.

import Glibc
import TestSupport
import Testing

@testable import Machine

@Suite struct BootImageTests {
    static let memory: Range<UInt64> = 0x8000_0000 ..< 0x8800_0000

    private func load(_ bytes: [UInt8]) throws -> BootImage {
        try BootImage(BootFile(path: "file", bytes: bytes), what: "kernel", base: 0x8020_0000, memory: Self.memory)
    }

    private func message(_ bytes: [UInt8]) -> String? {
        do { _ = try load(bytes) } catch { return "\(error)" }
        return nil
    }

    @Test func aLinuxImageGoesToItsOffset() throws {
        let image = try load(linuxImage(size: 0x9000, offset: 0x40_0000, byteCount: 0x5000))
        #expect(image.kind == .linux && image.entry == 0x8040_0000)
        #expect(image.segments.count == 1 && image.segments[0].range == 0x8040_0000 ..< 0x8040_9000)
        #expect(image.end == 0x8040_9000)
    }

    @Test func aLinuxImageOfTheFirstHeaderHasNoSize() throws {
        #expect(try load(linuxImage(size: 0, byteCount: 0x5000)).segments[0].byteCount == 0x5000)
    }

    @Test func damagedLinuxImages() {
        #expect(message(linuxImage(size: 0x1000, byteCount: 0x5000))!.contains("no sound Linux image"))
        #expect(message(linuxImage(size: 0x9000, offset: 12, byteCount: 0x5000))!.contains("no sound Linux image"))
        #expect(message(linuxImage(size: 0x9000, byteCount: 0x5000, flags: 1))!.contains("big-endian"))
        #expect(message(linuxImage(size: 0x9000, byteCount: 0x5000, version: 0x30000))!.contains("version 3.0"))
        #expect(message(linuxImage(size: 0x9_0000_0000, byteCount: 0x5000))!.contains("-m"))
    }

    @Test func anELFFileGoesToItsPhysicalAddresses() throws {
        let image = try load(elf(segments: [
            ELFSegment(virtual: 0xffff_ffff_8000_0000, physical: 0x8020_0000, bytes: [1, 2, 3], count: 0x2000),
            ELFSegment(virtual: 0xffff_ffff_8000_4000, physical: 0x8030_0000, bytes: [4], count: 1),
        ], entry: 0xffff_ffff_8000_0010))
        #expect(image.kind == .elf && image.entry == 0x8020_0010)
        #expect(image.segments.map(\.range) == [0x8020_0000 ..< 0x8020_2000, 0x8030_0000 ..< 0x8030_0001])
        #expect(image.segments.map { Array($0.bytes) } == [[1, 2, 3], [4]])
    }

    @Test func wrongELFFilesSayWhy() {
        let good = elf(segments: [ELFSegment(physical: 0x8020_0000, bytes: [1, 2], count: 2)], entry: 0x8020_0000)
        func changed(_ index: Int, _ value: UInt8) -> [UInt8] {
            var bytes = good
            bytes[index] = value
            return bytes
        }
        #expect(message(good) == nil)
        #expect(message(changed(4, 1))!.contains("32-bit"))
        #expect(message(changed(5, 2))!.contains("big-endian"))
        #expect(message(changed(18, 62))!.contains("x86-64"))
        #expect(message(changed(16, 1))!.contains("not a linked program"))
        #expect(message(changed(56, 0))!.contains("without program headers"))
        #expect(message(changed(64, 3))!.contains("mynah run"))
        #expect(message(Array(good.dropLast()))!.contains("cut off"))
        #expect(message(Array(good.prefix(100)))!.contains("cut off"))
        #expect(message(Array(good.prefix(40)))!.contains("cut off"))
        #expect(message(changed(64 + 24 + 3, 0x10))!.contains("the machine has 0x80000000 to 0x88000000"))
    }

    @Test func everythingElseIsRawUnlessItIsKnown() throws {
        let image = try load([0x13, 0, 0, 0])
        #expect(image.kind == .raw && image.entry == 0x8020_0000 && image.segments[0].range == 0x8020_0000 ..< 0x8020_0004)
        #expect(message([])!.contains("empty"))
        #expect(message([0x28, 0xb5, 0x2f, 0xfd, 0])!.contains("zstd -d"))
        #expect(message([0xd0, 0x0d, 0xfe, 0xed])!.contains("--dtb"))
        #expect(message([0x51, 0x46, 0x49, 0xfb])!.contains("--drive"))
        #expect(message(Array("console=ttyS0\n".utf8))!.contains("is a text"))
        #expect(message([UInt8](repeating: 0, count: 512))!.contains("no instruction"))
        var arm = [UInt8](repeating: 0, count: 64)
        arm.replaceSubrange(56..<60, with: Array("ARMd".utf8))
        #expect(message(arm)!.contains("arm64"))
        #expect(message([0x4d, 0x5a] + [UInt8](repeating: 0, count: 100))!.contains("EFI program"))
    }

    @Test func compressedKernelsAreUnpacked() throws {
        let kernel = linuxImage(size: 0x9000, byteCount: 0x5000)
        let packed = gzipStored(kernel)
        #expect(try load(packed).kind == .linux)
        #expect(message(Array(packed.dropLast(9)))!.contains("cut off"))
        let zboot = zbootImage(packed, method: "gzip")
        #expect(try load(zboot).segments[0].bytes.count == kernel.count)
        #expect(message(zbootImage(packed, method: "zstd"))!.contains("packed with zstd"))
        #expect(message(Array(zboot.dropLast()))!.contains("cut off"))
        #expect(message(zbootImage(gzipStored([1, 2, 3]), method: "gzip"))!.contains("no Linux image"))
    }

    @Test func damagedFilesGiveAnImageInMemoryOrAMessage() {
        var random = SplitMix(seed: 11)
        let originals = [
            linuxImage(size: 0x9000, byteCount: 0x200), gzipStored(linuxImage(size: 0x9000, byteCount: 0x200)),
            zbootImage(gzipStored(linuxImage(size: 0x9000, byteCount: 0x200)), method: "gzip"),
            elf(
                segments: [
                    ELFSegment(physical: 0x8020_0000, bytes: [1, 2], count: 9),
                    ELFSegment(physical: 0x8021_0000, bytes: [3], count: 9),
                ],
                entry: 0x8020_0000),
        ]
        var refused = 0
        for _ in 0..<6000 {
            var bytes = random.pick(originals)
            for _ in 0...random.below(4) {
                let value = random.pick([0, 1, 0x7f, 0x80, 0xff, UInt8(truncatingIfNeeded: random.next())])
                let index = random.below(min(bytes.count, 200))
                for offset in 0..<random.pick([1, 1, 2, 4, 8]) where index + offset < bytes.count {
                    bytes[index + offset] = value
                }
            }
            if random.below(4) == 0 { bytes.removeLast(random.below(bytes.count)) }
            do {
                let image = try load(bytes)
                for segment in image.segments {
                    #expect(
                        segment.range.lowerBound >= Self.memory.lowerBound && segment.range.upperBound <= Self.memory.upperBound)
                    #expect(UInt64(segment.bytes.count) <= segment.byteCount)
                }
            } catch { refused += error is BootError ? 1 : 0 }
        }
        #expect(refused > 1000)
    }

    @Test func missingFilesAndDirectories() {
        #expect(throws: BootError.notFound("there is no kernel '/nonexistent/kernel'")) {
            try BootFile(reading: "/nonexistent/kernel", as: "kernel")
        }
        #expect(throws: BootError.notBootable("the kernel '/tmp' is no regular file")) {
            try BootFile(reading: "/tmp", as: "kernel")
        }
        let scratch = Scratch(), pipe = scratch.file("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        #expect(throws: BootError.notBootable("the kernel '\(pipe)' is no regular file")) {
            try BootFile(reading: pipe, as: "kernel")
        }
    }
}

// MARK: - Files

private func number(_ value: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
}

func linuxImage(size: UInt64, offset: UInt64 = 0x20_0000, byteCount: Int, flags: UInt64 = 0, version: UInt64 = 2) -> [UInt8] {
    let header =
        number(0x0000_006f, 4) + number(0, 4) + number(offset, 8) + number(size, 8) + number(flags, 8) + number(version, 4)
        + number(0, 4 + 8) + Array("RISCV\0\0\0".utf8) + Array("RSC\u{5}".utf8) + number(0, 4)
    return header + [UInt8](repeating: 0x13, count: byteCount - header.count)
}

func gzipStored(_ content: [UInt8]) -> [UInt8] {
    [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1] + number(UInt64(content.count), 2) + number(~UInt64(content.count), 2) + content
        + number(UInt64(Gzip.crc32(content[...])), 4) + number(UInt64(content.count), 4)
}

/// drivers/firmware/efi/libstub/zboot-header.S
func zbootImage(_ packed: [UInt8], method: String) -> [UInt8] {
    let name = Array(method.utf8)
    return Array("MZ\0\0zimg".utf8) + number(64, 4) + number(UInt64(packed.count), 4) + number(0, 8) + name
        + [UInt8](repeating: 0, count: 32 - name.count) + number(0, 8) + packed
}

struct ELFSegment {
    var virtual: UInt64? = nil
    var physical: UInt64
    var bytes: [UInt8]
    var count: UInt64
}

func elf(segments: [ELFSegment], entry: UInt64) -> [UInt8] {
    var content: [UInt8] = []
    var headers: [UInt8] = []
    let start = UInt64(64 + 56 * segments.count)
    for segment in segments {
        headers +=
            number(1, 4) + number(5, 4) + number(start + UInt64(content.count), 8)
            + number(segment.virtual ?? segment.physical, 8)
        headers +=
            number(segment.physical, 8) + number(UInt64(segment.bytes.count), 8) + number(segment.count, 8) + number(4096, 8)
        content += segment.bytes
    }
    let header: [UInt8] =
        [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0] + number(0, 8) + number(2, 2) + number(243, 2) + number(1, 4) + number(entry, 8)
        + number(64, 8) + number(0, 8) + number(5, 4) + number(64, 2) + number(56, 2) + number(UInt64(segments.count), 2)
        + number(64, 2)
        + number(0, 4)
    return header + headers + content
}
