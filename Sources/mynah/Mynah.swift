import MynahCLI

@main
enum MynahExecutable {
    static func main() {
        CommandLineTool.main()
    }
}
