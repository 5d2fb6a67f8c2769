# What lab/varnish/start runs, with the folder put in; the gate is there.
vcl 4.1;

backend gate {
    .path = "FOLDER/gate";
}

sub vcl_recv {
    if (req.url == "/slow") {
        return (pass);
    }
    return (synth(200));
}

sub vcl_synth {
    set resp.http.Content-Type = "text/plain";
    synthetic("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    return (deliver);
}
