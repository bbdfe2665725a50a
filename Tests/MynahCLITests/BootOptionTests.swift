// The grammar of `mynah boot` and of qemu's machine mode, the console's keys, and what is said about files that cannot be booted.

import Glibc
import Mynah
import Testing

@testable import MynahCLI

@Suite struct BootOptionTests {
    private func scan(_ arguments: String...) throws -> BootSettings {
        var settings = BootSettings()
        let rest = try OptionTable.boot.scan(arguments[...], environment: { _ in nil }, into: &settings)
        #expect(rest.isEmpty)
        return settings
    }

    private func message(_ arguments: String...) -> String? {
        var settings = BootSettings()
        do { _ = try OptionTable.boot.scan(arguments[...], environment: { _ in nil }, into: &settings) } catch {
            return (error as? CommandFailure)?.message
        }
        return nil
    }

    @Test func filesAndHardware() throws {
        let settings = try scan(
            "--kernel", "Image", "--initrd=i", "-a", "console=ttyS0", "--firmware", "fw", "-m", "512", "--cpus", "4", "--dtb",
            "t", "--no-reboot")
        #expect(settings.options.kernel == "Image" && settings.options.initialDisk == "i" && settings.options.firmware == "fw")
        #expect(settings.options.commandLine == "console=ttyS0" && settings.options.deviceTree == "t")
        #expect(settings.options.memoryByteCount == 512 << 20 && settings.options.hartCount == 4 && !settings.options.restarts)
        #expect(try scan("-m", "2G").options.memoryByteCount == 2 << 30)
    }

    @Test func drives() throws {
        let drives = try scan(
            "--drive", "a.img", "-d", "b=c.qcow2,format=qcow2,readonly", "--drive", "x,,y,snapshot,readonly=off"
        ).options.drives
        #expect(drives.map(\.path) == ["a.img", "b=c.qcow2", "x,y"])
        #expect(drives.map(\.format) == [nil, .qcow2, nil])
        #expect(drives.map(\.isReadOnly) == [false, true, false] && drives.map(\.isSnapshot) == [false, false, true])
    }

    @Test func networksAndShares() throws {
        let settings = try scan(
            "--net", "user,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=udp::53-10.0.2.15:53", "--net=tap=tap0", "--share", "/tmp",
            "--share", "/,tag=root,readonly")
        let forwards = [
            PortForward(transport: .tcp, hostAddress: "127.0.0.1", hostPort: 2222, guestAddress: nil, guestPort: 22),
            PortForward(transport: .udp, hostAddress: nil, hostPort: 53, guestAddress: "10.0.2.15", guestPort: 53),
        ]
        #expect(settings.options.networks == [.user(forwards: forwards), .tap(name: "tap0")])
        #expect(settings.options.shares.map(\.tag) == ["host", "root"] && settings.options.shares[1].isReadOnly)
        #expect(try scan("--net", "user", "--net", "none").options.networks == [])
    }

    @Test func saving() throws {
        let settings = try scan("--save", "f", "--save-at", "2.5", "--load", "g")
        #expect(
            settings.savePath == "f" && settings.saveTime == 2.5 && settings.options.savedMachine == "g"
                && !settings.hasMemorySize && !settings.hasHartCount)
        #expect(try scan("-m", "1G").hasMemorySize && scan("--cpus", "1").hasHartCount)
        #expect(
            message("--save-at", "soon")?.contains("a number of seconds") == true
                && message("--save=")?.contains("which file?") == true)
        var qemu = BootSettings()
        _ = try OptionTable.qemuSystem(command: "q").scan(
            ["-m", "1G", "-smp", "2", "-incoming", "file:x"][...], environment: { _ in nil }, into: &qemu)
        #expect(qemu.options.savedMachine == "x" && qemu.hasMemorySize && qemu.hasHartCount)
        _ = try OptionTable.qemuSystem(command: "q").scan(["-loadvm", "y"][...], environment: { _ in nil }, into: &qemu)
        #expect(qemu.options.savedMachine == "y")
        #expect(throws: CommandFailure.self) {
            _ = try OptionTable.qemuSystem(command: "q").scan(
                ["-incoming", "tcp:0:4444"][...], environment: { _ in nil }, into: &qemu)
        }
    }

    @Test func mistakesSayWhatIsWrong() {
        #expect(message("--kernl", "x") == "unknown option '--kernl'; did you mean '--kernel'?")
        #expect(message("--cpus", "9") == "'--cpus': a machine has 1 to 8 harts, not '9'")
        #expect(message("-m", "lots")?.contains("expected a size") == true)
        #expect(message("--drive", "f,format=vmdk") == "'--drive': no format 'vmdk'; there are raw and qcow2")
        #expect(message("--drive", "f,fast") == "'--drive': no drive option 'fast'; there are format, readonly and snapshot")
        #expect(message("--drive", ",readonly")?.contains("which file?") == true)
        #expect(message("--net", "bridge")?.contains("no network 'bridge'") == true)
        #expect(message("--net", "user,hostfwd=2222")?.contains("expected tcp:HOST:PORT-GUEST:PORT") == true)
        #expect(message("--share", "/nonexistent")?.contains("is no directory") == true)
        #expect(message("--timeout", "-1")?.contains("seconds") == true)
        #expect(message("--expect", "")?.contains("empty") == true)
    }
}

@Suite struct QemuSystemOptionTests {
    private func scan(_ line: String) throws -> (BootSettings, [String]) {
        var settings = BootSettings()
        let rest = try OptionTable.qemuSystem(command: "q").scan(
            line.split(separator: " ").map(String.init)[...], environment: { _ in nil }, into: &settings)
        return (settings, Array(rest))
    }

    private func message(_ line: String) -> String? {
        do { _ = try scan(line) } catch { return (error as? CommandFailure)?.message }
        return nil
    }

    @Test func aUsualCommandLine() throws {
        let (settings, rest) = try scan(
            "-M virt -m 2G -smp 4 -nographic -serial mon:stdio -bios fw.bin -kernel Image -initrd i -append quiet -no-reboot "
                + "-drive file=d.qcow2,format=qcow2,if=none,id=hd0 -device virtio-blk-device,drive=hd0 -netdev "
                + "user,id=n0,hostfwd=tcp::2222-:22 "
                + "-device virtio-net-device,netdev=n0 -object rng-random,filename=/dev/urandom,id=r -device "
                + "virtio-rng-device,rng=r disk.img")
        #expect(
            settings.options.firmware == "fw.bin" && settings.options.kernel == "Image" && settings.options.commandLine == "quiet"
        )
        #expect(settings.options.memoryByteCount == 2 << 30 && settings.options.hartCount == 4 && !settings.options.restarts)
        #expect(settings.options.drives.map(\.path) == ["d.qcow2"] && settings.options.drives[0].format == .qcow2)
        #expect(settings.options.networks.count == 1 && settings.unattachedDrives.isEmpty && settings.unattachedNetworks.isEmpty)
        #expect(rest == ["disk.img"])
    }

    @Test func firmwareChoices() throws {
        #expect(try scan("-bios none -kernel k").0.hasNoFirmware)
        #expect(try scan("-bios default -kernel k").0.options.firmware == nil)
        #expect(try scan("-machine type=virt,dumpdtb=t.dtb").0.deviceTreeDump == "t.dtb")
        #expect(try scan("-smp cpus=2,maxcpus=2").0.options.hartCount == 2)
        #expect(
            try scan("-fsdev local,id=f,path=/tmp,security_model=none -device virtio-9p-device,fsdev=f,mount_tag=t").0.options
                .shares.map(\.tag) == ["t"])
        #expect(try scan("-device virtio-balloon-device").0.options.hasBalloon && !scan("-kernel k").0.options.hasBalloon)
    }

    @Test func whatIsNotThere() {
        #expect(message("-M sifive_u") == "'-M': no machine 'sifive_u'; there is virt")
        #expect(message("-device e1000")?.contains("no device 'e1000'") == true)
        #expect(message("-device virtio-blk-device,drive=x")?.contains("no drive 'x'") == true)
        #expect(message("-drive if=none,file=f")?.contains("needs an id") == true)
        #expect(message("-cpu cortex-a57")?.contains("no processor") == true)
        #expect(message("-serial tcp::1234")?.contains("no serial port") == true)
    }

    @Test func placesForGdb() throws {
        #expect(try scan("-s -S").0.options.debugger == "1234" && scan("-s -S").0.options.startsPaused)
        #expect(try scan("-s").0.options.startsPaused == false && scan("").0.options.debugger == nil)
        #expect(try scan("-gdb tcp::4321").0.options.debugger == "tcp::4321")
        #expect(try scan("-gdb unix:/tmp/s,server=on,wait=off").0.options.debugger == "unix:/tmp/s")
        #expect(try scan("-s -gdb none").0.options.debugger == nil)
        #expect(message("-gdb /tmp/s")?.contains("no place for gdb '/tmp/s'") == true)
        #expect(
            message("-gdb stdio")?.contains("no place") == true && message("-gdb tcp::1,telnet")?.contains("no place") == true)
        var settings = BootSettings()
        _ = try OptionTable.boot.scan(["--gdb", "1234"], environment: { _ in nil }, into: &settings)
        #expect(settings.options.debugger == "1234" && settings.options.startsPaused)
        var others = BootSettings()
        _ = try OptionTable.boot.scan(["-g", "unix:s,nowait"], environment: { _ in nil }, into: &others)
        #expect(others.options.debugger == "unix:s" && !others.options.startsPaused)
    }

    @Test func theNameDecides() {
        #expect(CommandLineTool.qemuMachine(of: "qemu-system-riscv64") == "system-riscv64")
    }
}

@Suite struct ConsoleTests {
    private func actions(_ text: String, _ keys: inout ConsoleKeys) -> [ConsoleAction] {
        keys.actions(for: Array(text.utf8)[...])
    }

    @Test func keysGoToTheGuest() {
        var keys = ConsoleKeys(hasEscapeKey: true)
        #expect(actions("ls\r\u{3}", &keys) == [.send(Array("ls\r\u{3}".utf8))])
        #expect(actions("a\u{1}", &keys) == [.send([0x61])])
        #expect(actions("\u{1}b", &keys) == [.send([1, 0x62])])
        #expect(actions("\u{1}x", &keys) == [.quit])
        #expect(actions("\u{1}zq", &keys) == [.send([0x71])])
    }

    @Test func theMonitorTakesLines() {
        var keys = ConsoleKeys(hasEscapeKey: true)
        #expect(actions("\u{1}c", &keys) == [.toggleMonitor] && keys.isMonitorOpen)
        #expect(actions("hi\u{7f}\r", &keys) == [.echo("h"), .echo("i"), .echo("\u{8} \u{8}"), .echo("\n"), .command("h")])
        #expect(actions("\u{1}cx", &keys) == [.toggleMonitor, .send([0x78])])
    }

    @Test func pipesHaveNoEscapeKey() {
        var keys = ConsoleKeys(hasEscapeKey: false)
        #expect(actions("\u{1}x", &keys) == [.send([1, 0x78])])
    }

    @Test func textIsFoundAcrossPieces() {
        func found(_ text: String, _ pieces: String...) -> Bool {
            var matcher = TextMatcher(text)
            return pieces.map { piece in Array(piece.utf8).withUnsafeBytes { matcher.feed($0) } }.last ?? false
        }
        #expect(found("login:", "Debian lo", "gin", ": "))
        #expect(found("aab", "aaab"))
        #expect(found("abcabd", "abcabcabd"))
        #expect(!found("login:", "logi", "n "))
        #expect(found("x", "x", "later"))
    }
}
