// swift-tools-version: 6.1
import PackageDescription

// One target per room of the house; imports only point down. See README.md for the map.
// The translator's stages are classes whose members change a dozen times per guest instruction; checking exclusive access to
// each at run time doubled the time of a translation. None of them is shared between threads without the engine's lock.
let stage: [SwiftSetting] = [.unsafeFlags(["-enforce-exclusivity=unchecked"])]

let package = Package(
    name: "Mynah",
    products: [
        .executable(name: "mynah", targets: ["mynah"]),
        .library(name: "Mynah", targets: ["Mynah"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    ],
    targets: [
        .target(name: "CHost", cSettings: [.unsafeFlags(["-O2"])]),
        .target(name: "Host", dependencies: ["CHost"]),
        .target(name: "X86", swiftSettings: stage),
        .target(name: "IR", dependencies: ["CHost"], swiftSettings: stage),
        .target(name: "Optimizer", dependencies: ["IR"], swiftSettings: stage),
        .target(name: "X86Backend", dependencies: ["IR", "X86", "Host", "CHost"], swiftSettings: stage),
        .target(name: "Guest", dependencies: ["IR", "CHost"], swiftSettings: stage),
        .target(name: "GuestRISCV", dependencies: ["Guest", "IR", "CHost"], swiftSettings: stage),
        .target(name: "Engine", dependencies: ["Guest", "IR", "Optimizer", "X86Backend", "Host", "CHost"], swiftSettings: stage),
        .target(name: "GDBStub"),
        .target(name: "LinuxUser", dependencies: ["Engine", "GDBStub", "Guest", "GuestRISCV", "Host", "CHost"]),
        .target(name: "DeviceModel", dependencies: ["CHost"]),
        .target(name: "Devices", dependencies: ["DeviceModel", "CHost"]),
        .target(name: "Machine", dependencies: ["DeviceModel", "Devices", "Engine", "GDBStub", "Guest", "GuestRISCV", "Host", "CHost"]),
        .target(
            name: "Mynah",
            dependencies: [
                "Machine", "Devices", "DeviceModel", "LinuxUser", "GDBStub", "Engine", "Guest", "GuestRISCV", "Optimizer", "X86Backend",
                "X86", "Host", "IR",
            ]),
        .target(
            name: "MynahCLI",
            dependencies: ["Mynah", .product(name: "ArgumentParser", package: "swift-argument-parser")]),
        // Statically linked: half of the start-up time of a short program was the dynamic linking of the Swift libraries.
        .executableTarget(
            name: "mynah", dependencies: ["MynahCLI"],
            linkerSettings: [
                .unsafeFlags(["-static-stdlib", "-l_FoundationCollections", "-l_FoundationCShims", "-lswiftSynchronization"])
            ]),
        // What tests of several rooms use.
        .target(name: "TestSupport", path: "Tests/TestSupport"),
        .testTarget(name: "X86Tests", dependencies: ["X86"]),
        .testTarget(name: "IRTests", dependencies: ["IR", "Optimizer"], resources: [.copy("Cases")]),
        .testTarget(name: "X86BackendTests", dependencies: ["X86Backend", "IR", "Optimizer", "Host", "TestSupport"]),
        .testTarget(name: "GuestRISCVTests", dependencies: ["GuestRISCV", "Guest", "IR", "CHost", "TestSupport"], exclude: ["Vectors"]),
        .testTarget(
            name: "EngineTests", dependencies: ["Engine", "GuestRISCV", "Guest", "IR", "Optimizer", "Host", "TestSupport"],
            exclude: ["PinnedCode"]),
        .target(name: "CConfinement", path: "Tests/CConfinement"),
        .testTarget(name: "GDBStubTests", dependencies: ["GDBStub"]),
        .testTarget(name: "LinuxUserTests", dependencies: ["LinuxUser", "Guest", "GuestRISCV", "CConfinement", "TestSupport"]),
        .testTarget(
            name: "MachineTests",
            dependencies: ["Machine", "Devices", "DeviceModel", "Engine", "GuestRISCV", "Guest", "CHost", "TestSupport"]),
        .testTarget(name: "DevicesTests", dependencies: ["Devices", "DeviceModel", "CHost", "TestSupport"]),
        .testTarget(name: "MynahCLITests", dependencies: ["MynahCLI", "Mynah", "GDBStub"]),
    ],
    swiftLanguageModes: [.v5]
)
