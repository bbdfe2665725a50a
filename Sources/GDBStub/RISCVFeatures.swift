// What GDB knows of RISC-V, by GDB's names: its features are those of features/riscv in GDB's sources (GDB manual G.5.15).

extension RegisterFeature {
    /// x0...x31 and pc.
    /// - Parameter names: of x0...x31 by the ABI.
    package static func riscvIntegers(_ names: [String]) -> RegisterFeature {
        let codePointers: Set = ["ra", "pc"], dataPointers: Set = ["sp", "gp", "tp", "fp"]
        let registers = (names.enumerated().map { $0 == 8 ? "fp" : $1 } + ["pc"]).map { name in
            RegisterDescription(
                name, type: codePointers.contains(name) ? "code_ptr" : dataPointers.contains(name) ? "data_ptr" : "int")
        }
        return RegisterFeature("org.gnu.gdb.riscv.cpu", registers)
    }

    /// f0...f31, of double precision.
    package static func riscvFloats(_ names: [String]) -> RegisterFeature {
        let type = "<union id=\"riscv_double\"><field name=\"float\" type=\"ieee_single\"/>"
            + "<field name=\"double\" type=\"ieee_double\"/></union>\n"
        return RegisterFeature(
            "org.gnu.gdb.riscv.fpu", types: type, names.map { RegisterDescription($0, type: "riscv_double", group: "float") })
    }
}
