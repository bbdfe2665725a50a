// `mynah cache`, and guests that run from it.

import Glibc
import Mynah
import Testing

@testable import MynahCLI

@Suite struct CacheTests {
    private static let mynah = Files.parent(of: Files.ownExecutable) + "/mynah"
    private static let images = Files.parent(of: Files.parent(of: Files.parent(of: #filePath))) + "/GuestImages/riscv64"

    private final class Folder {
        let path: String
        init() {
            var name = Array("/tmp/mynah-cache-XXXXXX".utf8CString)
            path = name.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
        }
        deinit {
            _ = TranslationCacheStore(.directory(path))?.clear()
            rmdir(path)
        }
    }

    private func run(_ arguments: [String]) throws -> (status: Int32, output: String, errors: String) {
        let result = try ChildProcess.run([Self.mynah] + arguments, timeLimit: 600)
        return (result.status, String(decoding: result.output, as: UTF8.self), result.errorText)
    }

    /// The number behind a key of JSON.
    private func value(_ key: String, _ text: String) -> Int? {
        let line = text.split(whereSeparator: { ",{}\n".contains($0) }).first { $0.contains("\"\(key)\"") }
        return line.flatMap { Int($0.filter(\.isNumber)) }
    }

    @Test(arguments: ["sieve", "strings", "bytecode", "linalg-double"]) func guestsRunFromTheCache(_ name: String) throws {
        let folder = Folder(), program = [Self.images + "/" + name, "1"]
        let plain = try run(["run", "--cache", "off"] + program)
        var hits: [Int] = [], regions: [Int] = []
        for _ in 0 ..< 3 {
            // Regions are made when they are hot, however soon the program ends.
            let result = try run(["run", "--cache", folder.path, "--background", "off", "--stats=json"] + program)
            #expect(result.status == plain.status && result.output == plain.output)
            hits.append(value("cacheHits", result.errors) ?? -1)
            regions.append(value("cacheRegions", result.errors) ?? -1)
        }
        #expect(hits[0] == 0 && hits[1] > 0 && hits[2] >= hits[1], "\(hits)")
        // The loop of an interpreter jumps through a table: no region is made of it.
        if name != "bytecode" { #expect(regions[0] == 0 && regions[1] > 0 && regions[2] > 0, "\(regions)") }
    }

    /// Writing beyond the limit would end the program by a signal.
    @Test func limitsOfFilesAreKept() throws {
        let folder = Folder(), image = Self.images + "/sieve"
        for limit in ["0", "1"] {
            let command = "ulimit -f \(limit); exec '\(Self.mynah)' run --cache '\(folder.path)' '\(image)' 1"
            let result = try ChildProcess.run(["/bin/sh", "-c", command], timeLimit: 600)
            #expect(result.status == 0)
            #expect(TranslationCacheStore(.directory(folder.path))?.files.isEmpty == true)
        }
        #expect(try run(["run", "--cache", folder.path, image, "1"]).status == 0)
        #expect(TranslationCacheStore(.directory(folder.path))?.files.isEmpty == false)
    }

    @Test func theVariableAndTheOptionSayWhere() throws {
        let folder = Folder(), other = Folder(), sieve = Self.images + "/sieve"
        // Not by setenv: other tests run programs meanwhile.
        func run(_ arguments: [String]) throws -> Int32 {
            try ChildProcess.run(["/usr/bin/env", "MYNAH_CACHE=\(folder.path)", Self.mynah] + arguments, timeLimit: 600).status
        }
        #expect(try run(["run", sieve, "1"]) == 0)
        #expect(TranslationCacheStore(.directory(folder.path))?.files.isEmpty == false)
        #expect(try run(["run", "--cache", other.path, sieve, "1"]) == 0)
        #expect(TranslationCacheStore(.directory(other.path))?.files.isEmpty == false)
        #expect(try run(["cache", "clear"]) == 0)
        #expect(try run(["run", "--engine", "block", sieve, "1"]) == 0)
        #expect(TranslationCacheStore(.directory(folder.path))?.files.isEmpty == true)
    }

    @Test func theCommandShowsPrunesAndClears() throws {
        let folder = Folder(), place = ["--cache", folder.path]
        #expect(try run(["cache", "info"] + place).output.contains("0 files"))
        #expect(try run(["run", "--background", "off"] + place + [Self.images + "/sieve", "1"]).status == 0)
        let info = try run(["cache", "info", "--json"] + place)
        // Blocks, and regions, which are sure to be made in time when they are made at once.
        #expect(info.status == 0 && value("files", info.output) == 2 && value("damagedFiles", info.output) == 0, "\(info.output)")
        let regions = value("regions", info.output) ?? 0
        #expect(regions > 0 && (value("translations", info.output) ?? 0) > regions)
        let regionBytes = value("regionBytes", info.output) ?? 0
        #expect(regionBytes > 0 && (value("bytes", info.output) ?? 0) > regionBytes)
        #expect(try run(["cache"] + place).output.contains("\(regions) of them regions"))
        #expect(try run(["cache", "verify"] + place).output.contains("0 damaged"))
        let store = try #require(TranslationCacheStore(.directory(folder.path)))
        let file = try #require(store.files.first)
        truncate(folder.path + "/" + file.name, off_t(file.byteCount - 1))
        let damaged = try run(["cache", "verify"] + place)
        #expect(damaged.status == 1 && damaged.output.contains("1 damaged"))
        #expect(try run(["cache", "verify", "--remove"] + place).status == 0)
        #expect(store.files.count == 1)
        #expect(try run(["cache", "clear"] + place).status == 0)
        for command in [["cache", "prune", "--size", "0"], ["cache", "clear"]] {
            #expect(try run(["run", "--background", "off"] + place + [Self.images + "/sieve", "1"]).status == 0)
            #expect(try run(command + place).output.hasPrefix("removed 2 files"))
            #expect(store.files.isEmpty)
        }
        chmod(folder.path, 0o777)
        let refused = try run(["cache", "clear"] + place)
        #expect(refused.status == 1 && refused.errors.contains("others may write"))
        chmod(folder.path, 0o700)
        #expect(try run(["cache", "bogus"]).status == 2)
    }
}
