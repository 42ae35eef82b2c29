"""pjsua2 as callers, all at once in one endpoint: codec_phone.py HOST:PORT TONE.wav DIR. Each call prints what happened to
it, one `NAME word` a line; what it heard is in DIR/NAME.wav.

- `pcma`, `g722`: the one codec, in clear; `srtp`: keys demanded (RTP/SAVP), PCMU.
- `changes`: begins with PCMA, changes to G722 by re-INVITE, holds, resumes, ends."""

import os
import sys
import time

import pjsua2 as pj

TARGET, TONE, DIR = sys.argv[1:4]
CODECS = {"PCMU": "PCMU/8000", "PCMA": "PCMA/8000", "G722": "G722/16000"}
endpoint = pj.Endpoint()


def allow(name):
    """What the next offer names."""
    for codec in endpoint.codecEnum2():
        endpoint.codecSetPriority(codec.codecId, 255 if codec.codecId.startswith(CODECS[name]) else 0)


class Call(pj.Call):
    def __init__(self, account, name):
        super().__init__(account)
        self.name, self.state, self.media, self.ended = name, None, None, False
        self.player, self.recorder = pj.AudioMediaPlayer(), pj.AudioMediaRecorder()
        self.player.createPlayer(TONE)
        self.recorder.createRecorder(os.path.join(DIR, f"{name}.wav"))

    def say(self, word):
        print(self.name, word, flush=True)

    def onCallState(self, prm):
        info = self.getInfo()
        self.state = info.state
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.ended = True
            self.say(f"ended-{info.lastStatusCode}")

    def onCallMediaState(self, prm):
        info = self.getInfo()
        self.media = info.media[0].status
        if self.media == pj.PJSUA_CALL_MEDIA_ACTIVE:
            audio = self.getAudioMedia(0)
            self.player.startTransmit(audio)
            audio.startTransmit(self.recorder)

    def codec(self):
        try:
            return self.getStreamInfo(0).codecName
        except pj.Error:
            return None

    def received(self):
        try:
            return self.getStreamStat(0).rtcp.rxStat.pkt
        except pj.Error:
            return 0

    def again(self, flag):
        """A re-INVITE."""
        prm = pj.CallOpParam(True)
        prm.opt.flag = flag
        self.reinvite(prm)


def until(what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        endpoint.libHandleEvents(10)
        if what():
            return True
    return False


endpoint.libCreate()
config = pj.EpConfig()
config.uaConfig.threadCnt = 0
config.uaConfig.mainThreadOnly = True
config.logConfig.level = config.logConfig.consoleLevel = 0
config.medConfig.noVad = True
endpoint.libInit(config)
transport = pj.TransportConfig()
transport.boundAddress = "127.0.0.1"
endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
endpoint.libStart()
endpoint.audDevManager().setNullDev()


def account(user, srtp):
    settings = pj.AccountConfig()
    settings.idUri = f"sip:{user}@127.0.0.1"
    settings.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
    settings.mediaConfig.srtpUse = srtp
    settings.mediaConfig.srtpSecureSignaling = 0
    created = pj.Account()
    created.create(settings)
    return created


accounts, calls = [], {}
for name, codec, srtp in [
    ("pcma", "PCMA", pj.PJMEDIA_SRTP_DISABLED),
    ("g722", "G722", pj.PJMEDIA_SRTP_DISABLED),
    ("srtp", "PCMU", pj.PJMEDIA_SRTP_MANDATORY),
    ("changes", "PCMA", pj.PJMEDIA_SRTP_OPTIONAL),
]:
    allow(codec)
    accounts.append(account(f"pj-{name}", srtp))
    calls[name] = Call(accounts[-1], name)
    calls[name].makeCall(f"sip:5000@{TARGET}", pj.CallOpParam(True))

ok = until(lambda: all(c.state == pj.PJSIP_INV_STATE_CONFIRMED or c.ended for c in calls.values()))
for call in calls.values():
    call.say(f"codec-{call.codec()}" if not call.ended else "not-answered")
ok &= until(lambda: all(c.received() > 150 or c.ended for c in calls.values()))

changes = calls["changes"]
if not changes.ended:
    allow("G722")
    changes.again(pj.PJSUA_CALL_REINIT_MEDIA)
    ok &= until(lambda: changes.codec() == "G722")
    changes.say(f"codec-{changes.codec()}")
    before = changes.received()
    ok &= until(lambda: changes.received() > 60 or changes.ended)
    changes.setHold(pj.CallOpParam(True))
    ok &= until(lambda: changes.media == pj.PJSUA_CALL_MEDIA_LOCAL_HOLD)
    changes.say("held")
    changes.again(pj.PJSUA_CALL_UNHOLD)
    ok &= until(lambda: changes.media == pj.PJSUA_CALL_MEDIA_ACTIVE)
    changes.say("resumed")
    ok &= until(lambda: changes.received() > 60 or changes.ended)
for call in calls.values():
    if not call.ended:
        call.say("done" if ok else "stuck")
        call.hangup(pj.CallOpParam(True))
until(lambda: all(c.ended for c in calls.values()), 5)
for call in calls.values():
    call.player = call.recorder = None
endpoint.libDestroy()  # closes the files
os._exit(0 if ok else 1)
