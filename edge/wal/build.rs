//! Turns `wal.proto` into Rust, without a protoc on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = protox::compile(["wal.proto"], ["."])?;
    prost_build::Config::new().bytes([".tributary.wal.v1"]).compile_fds(files)?;
    println!("cargo:rerun-if-changed=wal.proto");
    Ok(())
}
