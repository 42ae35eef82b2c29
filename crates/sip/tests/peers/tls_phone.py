"""pjsua2 as a phone on TLS: tls_phone.py PORT. Registers 1001 by digest, calls `help` by sips, is hung up on. Prints what
happened, one word a line."""

import os
import sys
import threading

import pjsua2 as pj

PORT = int(sys.argv[1])
registered, ended = threading.Event(), threading.Event()


def say(word):
    print(word, flush=True)


class Phone(pj.Account):
    def onRegState(self, prm):
        info = self.getInfo()
        say(f"register-{prm.code}")
        if info.regIsActive:
            registered.set()


class Call(pj.Call):
    def onCallState(self, prm):
        info = self.getInfo()
        say(info.stateText.lower())
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            ended.set()


def poll(endpoint, event, seconds):
    for _ in range(int(seconds * 100)):
        endpoint.libHandleEvents(10)
        if event.is_set():
            return True
    return False


endpoint = pj.Endpoint()
endpoint.libCreate()
config = pj.EpConfig()
config.uaConfig.threadCnt = 0
config.uaConfig.mainThreadOnly = True
config.logConfig.level = 0
config.logConfig.consoleLevel = 0
config.medConfig.noVad = True
endpoint.libInit(config)
transport = pj.TransportConfig()
transport.boundAddress = "127.0.0.1"
transport.tlsConfig.verifyServer = False
endpoint.transportCreate(pj.PJSIP_TRANSPORT_TLS, transport)
endpoint.libStart()
endpoint.audDevManager().setNullDev()

account = pj.AccountConfig()
account.idUri = "sip:1001@baton.localhost"
account.regConfig.registrarUri = f"sip:127.0.0.1:{PORT};transport=tls"
account.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", "1001", 0, "secret"))
phone = Phone()
phone.create(account)
if not poll(endpoint, registered, 10):
    say("not-registered")
    os._exit(1)

call = Call(phone)
call.makeCall(f"sip:help@127.0.0.1:{PORT};transport=tls", pj.CallOpParam(True))
ok = poll(endpoint, ended, 15)
say("done" if ok else "no-end")
os._exit(0 if ok else 1)
