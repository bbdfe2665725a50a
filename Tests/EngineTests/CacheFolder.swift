// Places for caches of translations, which tests look at and damage.

import CHost
import Glibc
import Testing

@testable import Engine

/// A directory for a cache, which goes with the object.
final class CacheFolder {
    let path: String

    init() {
        var name = Array("/tmp/mynah-cache-XXXXXX".utf8CString)
        path = name.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
    }

    deinit {
        for name in names { unlink(path + "/" + name) }
        rmdir(path)
    }

    var names: [String] {
        guard let stream = opendir(path) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// The name of the only file with that content.
    func name(_ content: CacheContent) -> String { names.first { $0.hasSuffix(content.suffix) } ?? "?" }
    func file(_ content: CacheContent) -> String { path + "/" + name(content) }

    func bytes(_ content: CacheContent) -> [UInt8] {
        guard let file = fopen(file(content), "r") else { return [] }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
        return bytes
    }

    func replace(_ content: CacheContent, _ bytes: [UInt8]) {
        let name = file(content)
        let file = fopen(name, "w")!
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
        chmod(name, 0o600)
    }

    /// Makes one word after the other of the first unit nonsense, with a digest that is right; how often that is refused. Nothing of it
    /// is run: what code does is as its digest says, it is only seen to lie in its place.
    func refusedNonsense(_ content: CacheContent) throws -> Int {
        let whole = bytes(content)
        let unit = whole.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: CacheFileHeader.byteCount, as: CacheFileUnit.self) }
        let header = whole.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: Int(unit.offset), as: CacheUnitHeader.self) }
        var refused = 0, scratch = CacheScratch()
        defer { scratch.deallocate() }
        for place in stride(from: Int(unit.offset), to: Int(unit.offset) + CacheUnitLayout(header).proofs, by: 4) {
            var bytes = whole
            for index in 0 ..< 4 { bytes[place + index] = 0xff }
            bytes.withUnsafeMutableBytes { $0.correctDigests(ofUnit: 0) }
            replace(content, bytes)
            let file = try #require(CacheDirectory(path: path).file(named: name(content)))
            if file.read(0, into: &scratch)?.isConsistent != true { refused += 1 }
        }
        return refused
    }

    func engine(_ arena: GuestArena, _ change: @escaping (inout EngineConfiguration) -> Void = { _ in }) -> EngineExecutor {
        let path = path
        return EngineExecutor("cached", arena) {
            $0.translationCache = TranslationCacheOptions(directory: path)
            change(&$0)
        }
    }
}

extension UnsafeMutableRawBufferPointer {
    /// Makes the digests of a file of the cache right: of a unit, and of the table.
    func correctDigests(ofUnit number: Int) {
        let place = CacheFileHeader.byteCount + number * MemoryLayout<CacheFileUnit>.stride
        var unit = loadUnaligned(fromByteOffset: place, as: CacheFileUnit.self), header = loadUnaligned(as: CacheFileHeader.self)
        unit.digest = mynah_digest(baseAddress! + Int(unit.offset), Int(unit.byteCount), UInt64(unit.page))
        storeBytes(of: unit, toByteOffset: place, as: CacheFileUnit.self)
        header.tableDigest = mynah_digest(baseAddress! + CacheFileHeader.byteCount, header.tableByteCount, header.digest)
        storeBytes(of: header, as: CacheFileHeader.self)
    }
}
