# The application of the Rack servers: / answers at once, /slow when the gate in the working folder does. LAB_BOOT: it takes so many
# seconds to load whenever it was loaded before.
require "fileutils"
require "socket"

sleep ENV.fetch("LAB_BOOT", "0").to_f if File.exist?("loaded")
FileUtils.touch("loaded")

BODY = "x" * 150

run(lambda do |env|
  if env["PATH_INFO"] == "/slow"
    UNIXSocket.open("gate") do |gate|
      gate.write("GET /slow HTTP/1.0\r\n\r\n")
      gate.read
    end
  end
  [200, { "Content-Type" => "text/plain", "Content-Length" => BODY.bytesize.to_s }, [BODY]]
end)
