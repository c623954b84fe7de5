//! Turns the protocol files into Rust, without a protoc on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = protox::compile(["edge_hub.proto", "push.proto", "otlp.proto"], ["."])?;
    tonic_prost_build::configure().bytes(".tributary.v1").bytes(".logproto").bytes(".otlp").compile_fds(files)?;
    println!("cargo:rerun-if-changed=edge_hub.proto");
    println!("cargo:rerun-if-changed=push.proto");
    println!("cargo:rerun-if-changed=otlp.proto");
    Ok(())
}
