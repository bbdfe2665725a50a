// Imports only point down. Read off the source files, so that a stray import fails here and not in a review.

import Glibc
import Testing

@testable import MynahCLI

@Suite struct ImportLawTests {
    /// What each module may import of ours.
    private static let allowed: [String: Set<String>] = [
        "CHost": [],
        "Host": ["CHost"],
        "X86": [],
        "IR": ["CHost"],
        "Optimizer": ["IR", "CHost"],
        "X86Backend": ["IR", "X86", "Host", "CHost"],
        "Guest": ["IR", "CHost"],
        "GuestRISCV": ["Guest", "IR", "CHost"],
        "Engine": ["Guest", "IR", "Optimizer", "X86Backend", "Host", "CHost"],
        "GDBStub": [],
        "LinuxUser": ["Engine", "GDBStub", "Guest", "GuestRISCV", "Host", "CHost"],
        "DeviceModel": ["CHost"],
        "Devices": ["DeviceModel", "CHost"],
        "Machine": ["DeviceModel", "Devices", "Engine", "GDBStub", "Guest", "GuestRISCV", "Host", "CHost"],
        "Mynah": [
            "Machine", "Devices", "DeviceModel", "LinuxUser", "GDBStub", "Engine", "Guest", "GuestRISCV", "Optimizer",
            "X86Backend", "X86",
            "Host", "IR", "CHost",
        ],
        "MynahCLI": ["Mynah"],
        "mynah": ["MynahCLI"],
    ]

    private static let sources = Files.parent(of: Files.parent(of: Files.parent(of: #filePath))) + "/Sources"

    private func imports(of module: String) -> [(file: String, module: String)] {
        swiftFiles(in: "\(Self.sources)/\(module)").flatMap { file in
            (Files.readText(file) ?? "").split(separator: "\n").compactMap { line in
                let words = line.split(separator: " ").filter {
                    !$0.hasPrefix("@") && $0 != "internal" && $0 != "package" && $0 != "public"
                }
                guard words.count >= 2, words[0] == "import" else { return nil }
                return (file, String(words.last!.split(separator: ".")[0]))
            }
        }
    }

    private func swiftFiles(in directory: String) -> [String] {
        Files.names(in: directory).flatMap { name -> [String] in
            let path = "\(directory)/\(name)"
            return Files.isDirectory(path) ? swiftFiles(in: path) : name.hasSuffix(".swift") ? [path] : []
        }
    }

    @Test func theTableListsEveryModule() {
        let modules = Files.names(in: Self.sources).filter { !swiftFiles(in: "\(Self.sources)/\($0)").isEmpty }
        #expect(modules.count >= 12)
        for module in modules { #expect(Self.allowed[module] != nil, "\(module) is not in the table of allowed imports") }
    }

    @Test(arguments: allowed.keys.sorted()) func importsPointDown(module: String) {
        let own = Set(Self.allowed.keys)
        for (file, imported) in imports(of: module) where own.contains(imported) && imported != module {
            #expect(Self.allowed[module]!.contains(imported), "\(file) imports \(imported)")
        }
    }

    @Test func noPathStartsFoundation() {
        for module in Self.allowed.keys {
            for (file, imported) in imports(of: module) {
                #expect(!imported.hasPrefix("Foundation"), "\(file) imports \(imported), which costs every process milliseconds")
            }
        }
    }

    /// The laws of the house, stated apart from the table so that a change of the table cannot break them.
    @Test func theThreeLaws() {
        let reachable = { (module: String) in self.closure(of: module) }
        #expect(reachable("GuestRISCV").isDisjoint(with: ["X86", "X86Backend", "Engine"]))
        #expect(reachable("X86Backend").isDisjoint(with: ["Guest", "GuestRISCV", "Engine"]))
        #expect(reachable("X86").isEmpty)
        #expect(!reachable("Engine").contains("GuestRISCV"))
        #expect(reachable("Devices").isDisjoint(with: ["X86", "Engine", "Guest", "GuestRISCV"]))
    }

    private func closure(of module: String) -> Set<String> {
        var result = Self.allowed[module] ?? []
        for dependency in result { result.formUnion(closure(of: dependency)) }
        return result
    }
}
