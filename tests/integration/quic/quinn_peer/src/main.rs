//! The other side of the bulk comparison: quinn, a QUIC implementation in Rust, from one process to another.
//!
//!     quinn_peer server CERT KEY         prints `{"listening":"127.0.0.1:PORT"}`, then discards what comes on each stream
//!     quinn_peer client CA PORT BYTES    writes zeros until the server has them all, prints `{"bulk_seconds":…}`

use std::{env, error::Error, fs::File, io::BufReader, net::SocketAddr, sync::Arc, time::Instant};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const PROTOCOL: &[u8] = b"ferry";

fn certificates(path: &str) -> Result<Vec<rustls::Certificate>> {
    let found = rustls_pemfile::certs(&mut BufReader::new(File::open(path)?))?;
    Ok(found.into_iter().map(rustls::Certificate).collect())
}

fn key(path: &str) -> Result<rustls::PrivateKey> {
    let mut found = rustls_pemfile::read_all(&mut BufReader::new(File::open(path)?))?.into_iter();
    match found.next() {
        Some(rustls_pemfile::Item::PKCS8Key(der) | rustls_pemfile::Item::ECKey(der)) => {
            Ok(rustls::PrivateKey(der))
        }
        _ => Err("no private key".into()),
    }
}

async fn discard(connecting: quinn::Connecting) -> Result<()> {
    let connection = connecting.await?;
    while let Ok((mut answer, mut stream)) = connection.accept_bi().await {
        while stream.read_chunk(usize::MAX, true).await?.is_some() {}
        answer.finish().await?;
    }
    Ok(())
}

async fn server(certificate: &str, private: &str) -> Result<()> {
    let mut tls = rustls::ServerConfig::builder()
        .with_safe_defaults()
        .with_no_client_auth()
        .with_single_cert(certificates(certificate)?, key(private)?)?;
    tls.alpn_protocols = vec![PROTOCOL.to_vec()];
    let config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    let endpoint = quinn::Endpoint::server(config, "127.0.0.1:0".parse()?)?;
    println!("{{\"listening\":\"{}\"}}", endpoint.local_addr()?);
    while let Some(connecting) = endpoint.accept().await {
        tokio::spawn(discard(connecting));
    }
    Ok(())
}

async fn client(authority: &str, port: u16, bytes: usize) -> Result<()> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(authority)? {
        roots.add(&certificate)?;
    }
    let mut tls = rustls::ClientConfig::builder()
        .with_safe_defaults()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![PROTOCOL.to_vec()];
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse()?)?;
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(tls)));
    let connection = endpoint
        .connect(SocketAddr::from(([127, 0, 0, 1], port)), "localhost")?
        .await?;
    let (mut stream, mut answer) = connection.open_bi().await?;
    let zeros = vec![0; 1 << 20];
    let begin = Instant::now();
    let mut left = bytes;
    while left > 0 {
        let part = left.min(zeros.len());
        stream.write_all(&zeros[..part]).await?;
        left -= part;
    }
    stream.finish().await?;
    while answer.read_chunk(usize::MAX, true).await?.is_some() {}
    println!("{{\"bulk_seconds\":{}}}", begin.elapsed().as_secs_f64());
    connection.close(0u32.into(), b"");
    endpoint.wait_idle().await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["server", certificate, private] => server(certificate, private).await,
        ["client", authority, port, bytes] => {
            client(authority, port.parse()?, bytes.parse()?).await
        }
        _ => Err("usage: quinn_peer server CERT KEY | client CA PORT BYTES".into()),
    }
}
